"""Engines: one Protocol per kind, one file per engine; near or far they look the same."""
