"""One speech engine served by a process of its own: the heavy ones' dependencies contradict each other.

What is imported here must be little: an engine's image installs `deploy/engines/worker.txt` and the engine,
not everything that the server needs.
"""
