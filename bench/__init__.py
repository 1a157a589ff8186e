"""Speed and quality, measured; each script prints the figures that the docs quote."""
