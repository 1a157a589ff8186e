"""A voice's own decoder; the form of its file is in `kuaimei.models.difference`.

The learning process writes it, has few packages, and cannot import this one's neighbours.
"""

from kuaimei.models.difference import Change, Difference, load_difference, save_difference

__all__ = ["Change", "Difference", "load_difference", "save_difference"]
