"""Worker processes that serve one speech engine each, because the engines' dependencies conflict.

Imports must be kept to a minimum: an engine's image installs `deploy/engines/worker.txt` and the engine,
not everything that the server needs.
"""
