"""Embedded PostgreSQL: programs, location on disk, start and stop."""
