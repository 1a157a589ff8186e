"""One spoken conversation: detection, transcription, reply and speech output; every step is an event."""
