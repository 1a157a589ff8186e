"""Conversions of downloaded weights into the formats that run here."""
