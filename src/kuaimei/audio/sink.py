"""Write-only file object for encoders that write to a network connection."""

__all__ = ["BufferSink"]


class BufferSink:
    """Write-only file object in memory; `take` removes and returns what was written."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        """Append ``data`` and return its length."""
        self._data += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: written data is available at once."""

    def take(self) -> bytes:
        """Return everything written since the last call."""
        data, self._data = bytes(self._data), bytearray()
        return data
