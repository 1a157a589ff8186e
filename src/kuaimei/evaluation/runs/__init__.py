"""The runs of ``kuaimei bench``: cloned voices, training, analysis, and replayed conversations."""
