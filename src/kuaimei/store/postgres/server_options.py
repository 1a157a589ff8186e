"""With what settings the embedded server runs, and what becomes of its log."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["put_log_aside", "server_options"]

_LOG_MAX: Final = 5_000_000  # bytes after which the server's log is put aside at the next start
_CONFIGURATION: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    # Segments of the write-ahead log are not used again: what was deleted would stay in them.
    "wal_recycle": "off",
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "log_timezone": "UTC",
    "timezone": "UTC",
    # What was said is in rows and parameters, and errors quote them, in their details and in their own words:
    # the log tells of the server, and errors of statements go to the program only.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""Small: it lives beside the models. No worker processes for what a handful of rows does not need."""
_TELLING: Final = re.compile(rb"\] (ERROR|DETAIL|STATEMENT|CONTEXT|QUERY):", re.MULTILINE)
"""Of lines that earlier versions had PostgreSQL write, and that may hold what was said."""


def server_options(sockets: Path) -> str:
    """Options of the server, given anew at each start, so that clusters of earlier versions have them too.

    Args:
        sockets: Folder of its socket.
    """
    options = {**_CONFIGURATION, "unix_socket_directories": str(sockets)}
    return " ".join(f"-c {name}='{value}'" for name, value in options.items())


def put_log_aside(log: Path) -> None:
    """Before a start: begin a new log if it has become long, and delete one that may hold what was said."""
    for old in (log, log.with_suffix(".1")):
        with suppress(FileNotFoundError):
            if _TELLING.search(old.read_bytes()):
                old.unlink()
    if log.exists() and log.stat().st_size > _LOG_MAX:
        log.replace(log.with_suffix(".1"))
