"""Conversions of downloaded weights into the formats that the engines load."""
