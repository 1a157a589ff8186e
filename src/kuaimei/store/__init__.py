"""What is kept: sessions, turns, utterances, recordings and durable jobs."""

from kuaimei.store.opening import open_store
from kuaimei.store.recorder import Recorder
from kuaimei.store.rows import Audio, Health, Session, Statistics, Turn, Utterance
from kuaimei.store.store import Store
from kuaimei.store.transcription import Transcriber, Transcript, transcribe_with

__all__ = [
    "Audio",
    "Health",
    "Recorder",
    "Session",
    "Statistics",
    "Store",
    "Transcriber",
    "Transcript",
    "Turn",
    "Utterance",
    "open_store",
    "transcribe_with",
]
