"""Cloned voices: enrolled from a recording, learned in the background, spoken by the synthesiser."""
