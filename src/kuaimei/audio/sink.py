"""A file for writers that only write, as to a network connection."""

__all__ = ["BufferSink"]


class BufferSink:
    """A file that can only be written; what was written is taken away piece by piece."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        """Append ``data``; its length."""
        self._data += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        """Everything written since the last call."""
        data, self._data = bytes(self._data), bytearray()
        return data
