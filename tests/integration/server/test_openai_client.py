"""The official client, unchanged, on every endpoint but realtime."""

import json

import httpx
import numpy as np
import openai
import pytest

from kuaimei.audio.decode import decode
from kuaimei.audio.encode import encode
from kuaimei.audio.pcm import ASR_RATE
from kuaimei.errors import EngineError, QueueFull
from tests.support.fakes import FakeLanguageModel, FakeRecognizer, FakeSynthesizer, said, silence
from tests.support.server.app_server import eventually, quick_engines, serving


def wav(seconds: int = 1) -> bytes:
    return encode(np.concatenate([said("說" * 6) for _ in range(seconds)]), ASR_RATE, "wav")


async def test_models() -> None:
    async with serving() as served, served.client() as client:
        names = [model.id async for model in client.models.list()]
        assert names == ["kuaimei", "whisper-small", "tiny", "kokoro"]
        assert (await client.models.retrieve("tiny")).id == "tiny"
        with pytest.raises(openai.NotFoundError, match="unknown model"):
            await client.models.retrieve("gpt-4o")


async def test_chat_completion() -> None:
    model = FakeLanguageModel(reply="好的。今天天氣很好。", first_token_s=0, token_s=0)
    async with serving(engines=quick_engines(language_model=model)) as served, served.client() as client:
        answer = await client.chat.completions.create(
            model="kuaimei",
            messages=[{"role": "developer", "content": "短答"}, {"role": "user", "content": "天氣如何？"}],
            temperature=0.2,
            max_tokens=50,
        )
        assert answer.choices[0].message.content == "好的。今天天氣很好。"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 5
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + 5
    (request,) = model.requests
    assert [(m.role, m.content) for m in request.messages] == [("system", "短答"), ("user", "天氣如何？")]
    assert request.max_tokens == 50
    assert request.temperature == 0.2
    assert model.opened == model.closed == 1


async def test_chat_completion_stopped_and_cut() -> None:
    model = FakeLanguageModel(reply="一二三四五六七八", first_token_s=0, token_s=0)
    async with serving(engines=quick_engines(language_model=model)) as served, served.client() as client:
        ask = client.chat.completions.create
        stopped = await ask(model="tiny", messages=[{"role": "user", "content": "數"}], stop="四五")
        assert stopped.choices[0].message.content == "一二三"
        assert stopped.choices[0].finish_reason == "stop"
        cut = await ask(model="tiny", messages=[{"role": "user", "content": "數"}], max_completion_tokens=2)
        assert cut.choices[0].message.content == "一二三四"
        assert cut.choices[0].finish_reason == "length"
    assert model.opened == model.closed == 2


async def test_chat_completion_streamed() -> None:
    async with serving() as served, served.client() as client:
        stream = await client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": [{"type": "text", "text": "天氣？"}]}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "好的。今天天氣很好，適合出門走走。"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 9


async def test_chat_errors() -> None:
    model = FakeLanguageModel(
        first_token_s=0, token_s=0, failure=EngineError("the model broke"), fails_after=2
    )
    async with serving(engines=quick_engines(language_model=model)) as served, served.client() as client:
        ask = client.chat.completions.create
        with pytest.raises(openai.InternalServerError, match="the model broke"):
            await ask(model="kuaimei", messages=[{"role": "user", "content": "好"}])
        with pytest.raises(openai.APIError, match="the model broke"):
            async for _ in await ask(
                model="kuaimei", messages=[{"role": "user", "content": "好"}], stream=True
            ):
                pass
        with pytest.raises(openai.NotFoundError) as unknown:
            await ask(model="gpt-4o", messages=[{"role": "user", "content": "好"}])
        assert unknown.value.code == "model_not_found"
        assert unknown.value.param == "model"
        with pytest.raises(openai.BadRequestError, match="messages"):
            await ask(model="kuaimei", messages=[])
        model.failure = QueueFull("cores: 64 requests are already waiting; try again later")
        model.fails_after = 0
        with pytest.raises(openai.InternalServerError) as full:
            await ask(model="kuaimei", messages=[{"role": "user", "content": "好"}])
        assert full.value.status_code == 503
        assert full.value.response.headers["retry-after"] == "1"
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"{served.url}/metrics")).text
    assert 'kuaimei_errors_total{kind="queue_full",stage="rest"} 1.0' in metrics
    assert model.opened == model.closed


async def test_a_client_that_leaves_stops_the_model() -> None:
    model = FakeLanguageModel(first_token_s=0, token_s=0, hangs_after=3)
    async with serving(engines=quick_engines(language_model=model)) as served:
        async with served.client() as client:
            stream = await client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "好"}], stream=True
            )
            await anext(aiter(stream))
            await stream.close()
        await eventually(lambda: model.closed > 0)


@pytest.mark.parametrize("fmt", ["wav", "mp3", "opus", "flac", "aac"])
async def test_speech(fmt: str) -> None:
    voice = FakeSynthesizer(delay_s=0, character_ms=100, pieces=3)
    async with serving(engines=quick_engines(synthesizer=voice)) as served, served.client() as client:
        speech = await client.audio.speech.create(
            model="kokoro",
            voice="fake_two",
            input="今天天氣很好",
            response_format=fmt,  # type: ignore[arg-type]
            speed=1.2,
        )
        data = speech.read()
    pcm = await decode(data, 24_000)
    assert len(pcm) / 24_000 == pytest.approx(0.6, abs=0.1)  # AAC pads both ends
    (request,) = voice.requests
    assert (request.voice_id, request.speed) == ("fake_two", 1.2)
    assert voice.closed == 1


async def test_speech_leaves_while_it_is_made() -> None:
    voice = FakeSynthesizer(delay_s=0, pieces=2, piece_delay_s=3600)
    async with serving(engines=quick_engines(synthesizer=voice)) as served:
        async with (
            served.client() as client,
            client.audio.speech.with_streaming_response.create(
                model="kuaimei", voice="fake_one", input="你好", response_format="pcm"
            ) as speech,
        ):
            assert speech.headers["content-type"] == "audio/pcm"
            first = await anext(speech.iter_bytes(1000))
            assert np.array_equal(np.frombuffer(first, "<i2"), voice.audio("你好")[:500])
        await eventually(lambda: voice.closed > 0)


async def test_speech_as_events() -> None:
    async with serving() as served, httpx.AsyncClient() as client:
        body = {"input": "你好", "voice": "fake_one", "response_format": "pcm", "stream_format": "sse"}
        answer = await client.post(f"{served.url}/v1/audio/speech", json=body)
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    assert {e["type"] for e in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"


async def test_speech_errors() -> None:
    voice = FakeSynthesizer(delay_s=0, failure=EngineError("the voice broke"))
    async with serving(engines=quick_engines(synthesizer=voice)) as served, served.client() as client:
        speak = client.audio.speech.create
        with pytest.raises(openai.BadRequestError, match="fake_one, fake_two") as unknown:
            await speak(model="kokoro", voice="alloy", input="你好")
        assert unknown.value.param == "voice"
        with pytest.raises(openai.NotFoundError):
            await speak(model="tts-1", voice="fake_one", input="你好")
        with pytest.raises(openai.BadRequestError, match="input"):
            await speak(model="kokoro", voice="fake_one", input="")
        with pytest.raises(openai.BadRequestError, match="speed"):
            await speak(model="kokoro", voice="fake_one", input="好", speed=4)
        with pytest.raises(openai.InternalServerError, match="the voice broke"):
            await speak(model="kokoro", voice="fake_one", input="你好")


async def test_transcription() -> None:
    ears = FakeRecognizer(delay_s=0)
    sound = encode(np.concatenate([silence(500), said("今天天氣好嗎"), silence(700)]), ASR_RATE, "wav")
    async with serving(engines=quick_engines(recognizer=ears)) as served, served.client() as client:
        hear = client.audio.transcriptions.create
        plain = await hear(model="whisper-small", file=("a.wav", sound), language="zh-TW", prompt="天氣")
        assert plain.text == "今天天氣好嗎"
        (request, samples), *_ = ears.requests
        assert (request.language, request.prompt) == ("zh", "天氣")
        assert samples / ASR_RATE == pytest.approx(6 * 0.16 + 0.4, abs=0.1)  # not the silence around
        full = await hear(model="kuaimei", file=("a.wav", sound), response_format="verbose_json")
        assert full.language == "chinese"
        assert full.segments is not None
        (segment,) = full.segments
        assert segment.text == "今天天氣好嗎"
        assert segment.start == pytest.approx(0.3, abs=0.05)
        assert float(full.duration) == pytest.approx(2.16, abs=0.01)
        text = await hear(model="kuaimei", file=("a.wav", sound), response_format="text")
        assert str(text).strip() == "今天天氣好嗎"
        srt = await hear(model="kuaimei", file=("a.wav", sound), response_format="srt")
        assert str(srt).startswith("1\n00:00:00,")
        vtt = await hear(model="kuaimei", file=("a.wav", sound), response_format="vtt")
        assert str(vtt).startswith("WEBVTT\n\n00:00:00.")


async def test_a_long_file_is_recognised_in_pieces() -> None:
    ears = FakeRecognizer(delay_s=0)
    sentence = "一二三四五六七八九十" * 3  # 4.8 s
    parts = [part for _ in range(10) for part in (said(sentence), silence(600))]
    sound = encode(np.concatenate(parts), ASR_RATE, "flac")
    async with serving(engines=quick_engines(recognizer=ears)) as served, served.client() as client:
        stream = await client.audio.transcriptions.create(
            model="kuaimei", file=("a.flac", sound), stream=True
        )
        events = [event async for event in stream]
    assert [samples < 8 * ASR_RATE for _, samples in ears.requests] == [True] * 10
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == sentence * 10
    assert "".join(e.delta for e in events if e.type == "transcript.text.delta") == sentence * 10


async def test_transcription_errors() -> None:
    async with serving() as served, served.client() as client:
        hear = client.audio.transcriptions.create
        with pytest.raises(openai.BadRequestError) as broken:
            await hear(model="kuaimei", file=("a.wav", b"this is no sound at all"))
        assert broken.value.code == "audio"
        with pytest.raises(openai.BadRequestError, match="empty"):
            await hear(model="kuaimei", file=("a.wav", b""))
        with pytest.raises(openai.BadRequestError, match="available: zh, en"):
            await hear(model="kuaimei", file=("a.wav", wav()), language="fr")
        with pytest.raises(openai.NotFoundError):
            await hear(model="whisper-1", file=("a.wav", wav()))
        with pytest.raises(openai.BadRequestError, match="timestamps"):
            await hear(
                model="kuaimei",
                file=("a.wav", wav()),
                response_format="verbose_json",
                timestamp_granularities=["word"],
            )
        silent = await hear(model="kuaimei", file=("a.wav", encode(silence(2000), ASR_RATE, "wav")))
        assert silent.text == ""
