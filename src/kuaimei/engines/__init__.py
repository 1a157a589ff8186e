"""Engines: one Protocol per kind, one file per engine; local and remote engines look the same."""
