"""Benchmarks of speed and quality; each script prints the figures that the docs quote."""
