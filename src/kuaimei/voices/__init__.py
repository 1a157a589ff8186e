"""Cloned voices: enrolled from a recording, trained in the background, spoken by the synthesizer."""
