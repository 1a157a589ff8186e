"""Alembic's entry point: runs on the given connection, inside the transaction that holds the lock."""

from alembic import context

from kuaimei.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
