"""A voice's own decoder; the form of its file is in `kuaimei.models.weight_delta`.

The learning process writes it, has few packages, and cannot import this one's neighbours.
"""

from kuaimei.models.weight_delta import Change, Difference, load_difference, save_difference

__all__ = ["Change", "Difference", "load_difference", "save_difference"]
