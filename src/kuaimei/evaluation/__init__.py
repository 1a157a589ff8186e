"""Evaluation of voices: similarity, intelligibility, naturalness, pitch, and speech analysis."""
