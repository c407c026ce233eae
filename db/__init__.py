"""The store: engine, tables, repositories and migrations. Knows nothing of what is above it."""

from db.without_orm import keep_orm_out

keep_orm_out()
