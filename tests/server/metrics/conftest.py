"""The gateway's world, whose server shows metrics."""

from tests.server.gateway.conftest import sqlite_world, world

__all__ = ["sqlite_world", "world"]
