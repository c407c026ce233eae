"""How Alembic runs our revisions: on the connection of `db.migrate`, in its transaction."""

from alembic import context

from db.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("migrations run at the start of `trunkline serve`, which takes the lock")

context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
    compare_type=True,
)
context.run_migrations()
