"""People: authentication by keys or a proxy, and deletion of everything that belongs to a person."""
