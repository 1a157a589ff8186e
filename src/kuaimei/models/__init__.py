"""Model weights: the catalogue, the sources, and the only code that installs them."""
