"""Who may come in: people, the keys by which they do, and what belongs to them taken along or deleted."""
