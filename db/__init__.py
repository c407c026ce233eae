"""The store: engine, tables, repositories and migrations. Knows nothing of what is above it."""
