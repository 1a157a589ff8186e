from typing import get_args

import pytest
from openai.types.realtime import RealtimeClientEvent

from kuaimei.errors import EngineError
from kuaimei.server.realtime.protocol import (
    CLIENT_EVENTS,
    AppendAudio,
    ProtocolError,
    TruncateItem,
    error_event,
    parse,
)


def test_all_client_events_of_the_official_types_are_known() -> None:
    official = get_args(get_args(RealtimeClientEvent)[0])
    assert {get_args(model.model_fields["type"].annotation)[0] for model in official} == CLIENT_EVENTS


def test_an_event_is_read() -> None:
    event = parse('{"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "mine", "new": 1}')
    assert event == AppendAudio(type="input_audio_buffer.append", audio="AAAA", event_id="mine")
    truncate = parse('{"type": "conversation.item.truncate", "item_id": "x", "audio_end_ms": 12}')
    assert isinstance(truncate, TruncateItem)
    assert truncate.content_index == 0


@pytest.mark.parametrize(
    ("text", "code", "param", "event_id"),
    [
        ("", "invalid_json", None, None),
        ("nul", "invalid_json", None, None),
        ("[" * 50_000, "invalid_json", None, None),
        ("[" * 90_000, "event_too_large", None, None),
        ('{"type": "session.update", "session": [' + "1," * 70_000 + "1]}", "event_too_large", None, None),
        (f'{{"type": {"[" * 500}{"]" * 500}}}', "invalid_json", None, None),
        (f'{{"type": {"[" * 960}{"]" * 960}}}', "invalid_json", None, None),
        ('{"type": "x", "event_id": "\\ud800"}', "invalid_text", "event_id", "\ufffd"),
        ('{"type": "\\u0000"}', "invalid_text", "type", None),
        (
            '{"type": "session.update", "session": {"a": [{"b\\ud800": 1}]}}',
            "invalid_text",
            "session.a.0.b\ufffd",
            None,
        ),
        (f'{{"type": "session.update", "{"k" * 900}": "\\u0000"}}', "invalid_text", "k" * 200, None),
        (f'{{"type": "x", "event_id": "{"e" * 900}"}}', "unknown_event", "type", "e" * 512),
        ('{"event_id": "a"}', "unknown_event", "type", "a"),
        ('{"type": "response.cancel", "event_id": 7}', "invalid_value", "event_id", None),
        ('{"type": "conversation.item.create", "item": 7, "event_id": "b"}', "invalid_value", "item", "b"),
    ],
)
def test_what_is_wrong_is_told(text: str, code: str, param: str | None, event_id: str | None) -> None:
    with pytest.raises(ProtocolError) as error:
        parse(text)
    assert (error.value.code, error.value.param, error.value.event_id) == (code, param, event_id)


def test_errors_in_the_protocols_form() -> None:
    told = error_event(ProtocolError("no", code="c", param="p"), "mine")
    assert told == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "code": "c",
            "message": "no",
            "param": "p",
            "event_id": "mine",
        },
    }
    assert error_event(EngineError("broke"))["error"]["type"] == "server_error"
