"""Alembic's entry: runs on the connection it is handed, inside the transaction that holds the lock."""

from alembic import context

from kuaimei.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
