"""Enrolment: turns an uploaded recording into a checked reference, or refuses it with reasons."""
