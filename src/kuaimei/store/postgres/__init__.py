"""The embedded PostgreSQL: its programs, its place on the disk, its start and its stop."""
