"""The URL of a SQLite file, and the file of such a URL.

SQLAlchemy decodes what is percent-encoded there and ends the path at a question mark, both of which
a folder's name may have.
"""

from pathlib import Path
from urllib.parse import unquote


def url_of(path: Path) -> str:
    """What `Database` opens this file by."""
    quoted = str(path.absolute()).replace("%", "%25").replace("?", "%3F")
    return f"sqlite+aiosqlite:///{quoted}"


def path_in(url: str) -> Path:
    """The file that this URL names, which begins with `sqlite`."""
    _, _, path = url.partition(":///")
    return Path(unquote(path.partition("?")[0]))
