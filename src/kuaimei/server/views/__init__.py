"""JSON views of analyses and renderings, as clients see them."""
