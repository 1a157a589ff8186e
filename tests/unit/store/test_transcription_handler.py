from collections.abc import AsyncIterator
from datetime import UTC, datetime

import numpy as np

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.types import Priority, STTChunk, STTReq
from kuaimei.store import UtteranceRow, transcribe_with


class _Recognizer:
    """Says what it was given in order; remembers how it was asked."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.requests: list[STTReq] = []

    async def transcribe(self, pcm: Pcm, req: STTReq) -> STTChunk:
        self.requests.append(req)
        return STTChunk(text=self.texts[len(self.requests) - 1], is_final=True, language="en")


async def _pieces(count: int) -> AsyncIterator[Pcm]:
    for _ in range(count):
        yield np.zeros(16_000, dtype=np.int16)


_UTTERANCE = UtteranceRow(
    id="utt_1",
    session_id="sess_a",
    turn=1,
    speaker="user",
    is_turn=True,
    started_at=datetime.now(UTC),
    duration_ms=3000.0,
    sample_rate=16_000,
    state="recovered",
    sha256="",
    bytes=1,
    transcript=None,
    language=None,
    heard_ms=None,
    heard_text=None,
    interrupted=False,
    voice="",
    engine="",
)


async def test_pieces_are_recognised_behind_everyone_else_and_joined() -> None:
    recognizer = _Recognizer("Hello", "world.", "你好")
    said = await transcribe_with(recognizer, hotwords=("快美",))(_UTTERANCE, _pieces(3))
    assert (said.text, said.language) == ("Hello world.你好", "en")
    assert {request.ticket.priority for request in recognizer.requests} == {Priority.BACKGROUND}
    assert {request.ticket.session for request in recognizer.requests} == {"sess_a"}
    assert [request.prompt for request in recognizer.requests] == ["", "Hello", "Hello world."]
    assert [request.language for request in recognizer.requests] == [None, "en", "en"]
    assert recognizer.requests[0].hotwords == ("快美",)


async def test_silence_gives_no_words() -> None:
    said = await transcribe_with(_Recognizer("", ""))(_UTTERANCE, _pieces(2))
    assert said.text == ""
