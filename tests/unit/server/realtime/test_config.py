from dataclasses import replace
from typing import Any

import pytest
from openai.types.realtime import RealtimeSessionCreateRequest

from kuaimei.dialogue.history import ChatHistory
from kuaimei.engines.llm.context_window import SPARE_TOKENS, fit_context
from kuaimei.server.realtime.config import SessionConfig, instructions_capacity
from kuaimei.server.realtime.protocol import ProtocolError
from kuaimei.settings import DialogueSettings, Settings


def listening(turn_detection: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"audio": {"input": {"turn_detection": turn_detection, **more}}}


@pytest.fixture
def config() -> SessionConfig:
    return SessionConfig(
        settings=Settings(dialogue=DialogueSettings(system_prompt="預設")),
        voices=("one", "two"),
        models=("kuaimei", "tiny"),
        recognizer="whisper-small",
        voice="one",
    )


def test_what_is_told_at_the_beginning(config: SessionConfig) -> None:
    told = config.describe("sess_1")
    RealtimeSessionCreateRequest.model_validate(told)
    assert told["instructions"] == "預設"
    assert told["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert told["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert told["audio"]["output"]["voice"] == "one"
    reply_options = config.reply_options()
    assert (reply_options.voice, reply_options.speak, reply_options.reply, reply_options.interrupt) == (
        "one",
        True,
        True,
        True,
    )
    assert reply_options.instructions == ""


def test_only_what_is_given_changes(config: SessionConfig) -> None:
    config = config.update(
        {"instructions": "短", "audio": {"output": {"voice": {"id": "two"}, "speed": 1.5}}}
    )
    config = config.update(listening({"type": "semantic_vad"}))
    config = config.update(listening({"type": "server_vad", "interrupt_response": False}))
    reply_options = config.reply_options()
    assert (reply_options.voice, reply_options.speed, reply_options.instructions) == ("two", 1.5, "短")
    assert (reply_options.reply, reply_options.interrupt) == (True, False)
    assert config.update({"instructions": ""}).describe("s")["instructions"] == "預設"


def test_null_turns_off(config: SessionConfig) -> None:
    config = config.update({"audio": {"input": {"turn_detection": None, "transcription": None}}})
    told = config.describe("s")["audio"]["input"]
    assert (told["turn_detection"], told["transcription"]) == (None, None)
    assert not config.reply_options().reply  # a commit is not a wish for an answer
    config = config.update(
        {"audio": {"input": {"turn_detection": {"type": "server_vad"}, "transcription": {}}}}
    )
    assert config.reply_options().reply
    assert config.transcription


def test_a_transcription_session_gives_no_answers(config: SessionConfig) -> None:
    config = config.update({"type": "transcription"})
    assert not config.reply_options().reply
    assert "output" not in config.describe("s")["audio"]
    assert config.update({"instructions": "x"}).answers is False


@pytest.mark.parametrize(
    ("patch", "code", "param"),
    [
        ({"type": "other"}, "invalid_value", "session.type"),
        ({"output_modalities": []}, "invalid_value", "session.output_modalities"),
        ({"audio": 3}, "invalid_value", "session.audio"),
        ({"audio": {"output": {"voice": "three"}}}, "voice_not_found", "session.audio.output.voice"),
        ({"audio": {"output": {"speed": 0.1}}}, "invalid_value", "session.audio.output.speed"),
        (
            {"audio": {"output": {"format": {"type": "audio/pcmu", "rate": 16000}}}},
            "unsupported_rate",
            "session.audio.output.format.rate",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "psychic"}}}},
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        ({"instructions": "x" * 20_001}, "invalid_value", "session.instructions"),
    ],
)
def test_what_is_wrong_changes_nothing(
    config: SessionConfig, patch: dict[str, Any], code: str, param: str
) -> None:
    before = replace(config)
    with pytest.raises(ProtocolError) as error:
        config.update({"instructions": "new", **patch})
    assert (error.value.code, error.value.param) == (code, param)
    assert config == before


def test_one_response_may_differ(config: SessionConfig) -> None:
    config = config.update({"audio": {"input": {"turn_detection": None}}, "instructions": "一般"})
    reply_options, metadata = config.for_response(
        {
            "instructions": "大聲",
            "output_modalities": ["text"],
            "audio": {"output": {"voice": "two", "format": {"type": "audio/pcmu"}}},
            "metadata": {"k": "v"},
        }
    )
    assert (reply_options.instructions, reply_options.speak, reply_options.voice, reply_options.reply) == (
        "大聲",
        False,
        "two",
        True,
    )
    assert metadata == {"k": "v"}
    assert config.for_response({})[0].instructions == "一般"
    unsupported: list[dict[str, Any]] = [{"conversation": "none"}, {"input": []}, {"tools": [{}]}]
    for asked in unsupported:
        with pytest.raises(ProtocolError) as error:
            config.for_response(asked)
        assert error.value.code == "unsupported"


def test_instructions_that_leave_no_place_for_the_conversation_are_refused(config: SessionConfig) -> None:
    """They were accepted, and then every turn failed."""
    capacity = instructions_capacity(config.settings, embedded=True)
    assert capacity is not None
    assert 1000 < capacity < config.settings.engines.llm_context // 2
    assert instructions_capacity(config.settings, embedded=False) is None
    bounded = replace(config, instructions_tokens=capacity)
    assert bounded.update({"instructions": "好" * capacity}).instructions
    for refuse, param in ((bounded.update, "session"), (bounded.for_response, "response")):
        with pytest.raises(ProtocolError) as refused:
            refuse({"instructions": "好" * (capacity + 1)})
        assert refused.value.code == "instructions_too_long"
        assert refused.value.param == f"{param}.instructions"
        assert str(capacity) in str(refused.value)
    # What is accepted is never cut, and something is left for what was said.
    history = ChatHistory()
    history.add("user", "你好" * 2000)
    messages = history.request("好" * capacity, config.settings.dialogue.history_tokens)
    spent = config.settings.dialogue.max_reply_tokens + SPARE_TOKENS
    trimmed = fit_context(messages, config.settings.engines.llm_context - spent)
    assert trimmed == messages
    assert trimmed[0].content == "好" * capacity


def test_metadata_is_bounded_as_the_protocol_has_it(config: SessionConfig) -> None:
    metadata = {f"{n:064}": "v" * 512 for n in range(16)}
    assert config.for_response({"metadata": metadata})[1] == metadata
    for wrong in ({**metadata, "x": "y"}, {"k" * 65: "v"}, {"k": "v" * 513}):
        with pytest.raises(ProtocolError):
            config.for_response({"metadata": wrong})
