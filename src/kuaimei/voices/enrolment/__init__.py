"""Enrolment: from an uploaded recording to a checked reference, or to a clear refusal."""
