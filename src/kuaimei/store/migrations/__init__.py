"""Migrations of the database, run by alembic when the store opens."""

__all__ = ["HEAD"]

HEAD = "0008"
"""The revision this code is written for; a database at it is opened without loading alembic."""
