"""File descriptors: sockets, files, pipes; a process may have so many, and without them it can do nothing."""

from typing import Final

__all__ = ["raise_descriptor_limit"]

_ENOUGH: Final = 65_536
"""More is never wanted, and some systems allow a billion."""
_USUAL: Final = 1024


def raise_descriptor_limit() -> int:
    """Let this process have as many descriptors as the system allows it anyway, up to 65,536.

    The usual limit of 1,024 is one for programs that use ``select``; a higher one has to be asked for.

    Returns:
        How many it may have now.
    """
    try:
        import resource
    except ImportError:  # not on this system: it has no such limit
        return _USUAL
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft
