"""Alembic's revisions, oldest first, and the environment they run in."""
