"""Limit on the file descriptors (sockets, files, pipes) of this process."""

from typing import Final

__all__ = ["raise_descriptor_limit"]

_ENOUGH: Final = 65_536
"""Upper bound of what is requested; some systems allow a billion."""
_USUAL: Final = 1024


def raise_descriptor_limit() -> int:
    """Raise the soft limit on file descriptors to the hard limit, at most 65,536.

    The usual soft limit of 1,024 exists for programs that use ``select``; others have to raise it.

    Returns:
        The limit in force; 65,536 if it is unlimited.
    """
    try:
        import resource
    except ImportError:  # a system without such a limit
        return _USUAL
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft
