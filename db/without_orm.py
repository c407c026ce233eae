"""Keeps SQLAlchemy's ORM out of the program: `db/__init__.py` calls this before anything is loaded.

We use its engine, and no session. `sqlalchemy.ext.asyncio` imports both, and the ORM behind the
sessions is 10 MB and a tenth of a second. So the package is made without being run, by the import
system's own parts, and holds the names of the engine. Where somebody has imported it before, it
stays as it is; what comes later, Alembic included, imports the ORM as ever.
"""

import importlib.util
import sys

_PACKAGE = "sqlalchemy.ext.asyncio"
_NAMES = ("AsyncConnection", "AsyncEngine", "AsyncTransaction", "create_async_engine")


def keep_orm_out() -> None:
    """Make the package without its sessions."""
    if _PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:  # Without SQLAlchemy: the first import says so.
        return
    package = importlib.util.module_from_spec(spec)
    sys.modules[_PACKAGE] = package
    engine = importlib.import_module(f"{_PACKAGE}.engine")
    for name in _NAMES:
        setattr(package, name, getattr(engine, name))
