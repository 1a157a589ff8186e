"""Which weights exist, where they come from, and the only door through which they arrive."""
