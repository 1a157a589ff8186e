"""快美: an on-premises voice chat system, heard at once, then beautifully."""

__version__ = "0.1.0"
