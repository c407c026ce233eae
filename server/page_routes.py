"""`/graphiql`: the page that Vite built into `server/page/`, all of it from our own origin.

Its scripts are files of ours, so the policy allows no inline script; its editor's workers are made
from blobs, and its styles are set inline.
"""

from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from server.answers import Rejected

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)

# The rest is what every answer has.
_HEADERS = {"Content-Security-Policy": POLICY}
# Named by their content's hash, so a name never means anything else.
_FOREVER = "public, max-age=31536000, immutable"
_ALWAYS_ASK = "no-cache"

# Machines' own tables of types differ, and a wrong type keeps a script from running.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}

_NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>GraphiQL is not built</title></head>
<body><h1>GraphiQL is not built here</h1>
<p>Build it with <code>make page</code>, then load this page again. The API itself is at
<code>/graphql</code>.</p></body></html>
"""


def built_page() -> Path:
    """Where the build goes: beside this module, in a checkout as in a wheel."""
    return Path(str(files("server"))) / "page"


class PageRoutes:
    """Serves the page's files from `root`; nothing outside of it, whatever the path says."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    async def index(self, _request: Request) -> Response:
        """The page, or how to build it."""
        index = self._root / "index.html"
        if not index.is_file():
            return HTMLResponse(_NOT_BUILT, 503, _HEADERS | {"Cache-Control": "no-store"})
        return self._file(index, _ALWAYS_ASK)

    async def asset(self, request: Request) -> Response:
        """One of the page's files."""
        name: str = request.path_params["name"]
        try:
            path = (self._root / name).resolve()
            found = path.is_relative_to(self._root) and path.is_file()
        except (OSError, ValueError):
            found = False
        if not found:
            raise Rejected(404, "there is nothing at this path")
        return self._file(path, _FOREVER if name.startswith("assets/") else _ALWAYS_ASK)

    def _file(self, path: Path, caching: str) -> Response:
        return FileResponse(
            path,
            headers=_HEADERS | {"Cache-Control": caching},
            media_type=_TYPES.get(path.suffix, "application/octet-stream"),
        )
