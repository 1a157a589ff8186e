"""Database migrations, run by alembic when the store opens."""

__all__ = ["HEAD"]

HEAD = "0009"
"""The revision this code expects; a database at it is opened without loading alembic."""
