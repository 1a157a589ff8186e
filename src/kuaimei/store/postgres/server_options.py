"""Settings of the embedded server, and rotation of its log."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["put_log_aside", "server_options"]

_LOG_MAX: Final = 5_000_000  # bytes above which the server's log is rotated at the next start
_CONFIGURATION: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    # Segments of the write-ahead log are not reused, as deleted rows would stay in them.
    "wal_recycle": "off",
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "log_timezone": "UTC",
    "timezone": "UTC",
    # Rows and parameters contain what was said, and error messages quote them: the log is about the server
    # only, and errors of statements go only to the client.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""Small sizes, as it runs beside the models, and no worker processes, as there are few rows."""
_TELLING: Final = re.compile(rb"\] (ERROR|DETAIL|STATEMENT|CONTEXT|QUERY):", re.MULTILINE)
"""Log lines written under earlier versions that may quote what was said."""


def server_options(sockets: Path) -> str:
    """Return the server's options, passed at each start, so that clusters of earlier versions get them, too.

    Args:
        sockets: Folder of the socket.
    """
    options = {**_CONFIGURATION, "unix_socket_directories": str(sockets)}
    return " ".join(f"-c {name}='{value}'" for name, value in options.items())


def put_log_aside(log: Path) -> None:
    """Rotate a long log before a start, and delete one that may quote what was said."""
    for old in (log, log.with_suffix(".1")):
        with suppress(FileNotFoundError):
            if _TELLING.search(old.read_bytes()):
                old.unlink()
    if log.exists() and log.stat().st_size > _LOG_MAX:
        log.replace(log.with_suffix(".1"))
