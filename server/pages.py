"""GraphiQL's files, built by Vite into `server/page/`, and what is said where they aren't built.

Everything comes from our own origin, and the content security policy lets nothing else in.
"""

from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from server.answers import failure

PAGE = Path(str(files("server"))) / "page"
# Monaco, the editor in GraphiQL, writes its styles at run time and starts its workers from blobs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Trunkline</title></head>
<body><h1>GraphiQL is not built yet</h1>
<p>Run <code>make page</code> in the checkout (it needs Node), then reload this page.</p>
<p>The API itself is served on <code>/graphql</code>.</p></body></html>
"""


async def graphiql(_request: Request) -> Response:
    """The page."""
    index = PAGE / "index.html"
    headers = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
    if not index.is_file():
        return HTMLResponse(_NOT_BUILT, 503, headers=headers)
    return FileResponse(index, headers=headers)


async def asset(request: Request) -> Response:
    """A file of the page. Vite puts a hash into each name, so it may be kept for ever."""
    path = (PAGE / "assets" / request.path_params["path"]).resolve()
    if not path.is_relative_to(PAGE / "assets") or not path.is_file():
        return failure(404, "there is no such file", "NOT_FOUND")
    return FileResponse(
        path,
        headers={
            "cache-control": "public, max-age=31536000, immutable",
            "content-security-policy": _POLICY,
        },
    )


async def root(_request: Request) -> Response:
    """`/` leads to GraphiQL."""
    return RedirectResponse("/graphiql", 307)
