"""Generate ``docs/reference/events.md`` from the code that reads and sends realtime events.

python -m scripts.events_reference            # writes the file
python -m scripts.events_reference --check    # status 1 if the file is out of date

Client events are read from the models of `kuaimei.server.realtime.protocol`. Server events are described
below, and compared with the names in the code: a missing or superfluous description is an error.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel

from kuaimei.server.realtime.protocol import CLIENT_EVENTS, ClientEvent
from scripts.generated import ROOT, table, write_or_check

__all__ = ["SAID", "TARGET", "differences", "render"]

TARGET = ROOT / "docs" / "reference" / "events.md"

_SENDING = ("src/kuaimei/server/realtime", "src/kuaimei/server/webrtc")
_NAME = re.compile(
    r"error|session\.(?:created|updated)"
    r"|(?:input_audio_buffer|output_audio_buffer|conversation\.item|response|kuaimei)(?:\.[a-z_]+)+"
)
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
"""Prefix to which the code appends the last word of the name."""

_INTRO = """# Realtime events

Written by `python -m scripts.events_reference` from `src/kuaimei/server/realtime`.

`ws://HOST:8000/v1/realtime` (WebSocket) and `POST /v1/realtime/calls` (WebRTC, the same events on a data
channel) speak the OpenAI Realtime protocol; names and fields are those of `openai.types.realtime`. What it
has no word for is an event under `kuaimei.*`, which other clients ignore. Sound is 16-bit mono PCM of 24 kHz
(`audio/pcm`), or G.711 (`audio/pcmu`, `audio/pcma`), in base64; over WebRTC it travels as Opus beside the
events.

In the address: `model`, `session` (an earlier one, to go on with), `takeover=true` (another connection that
has this session ends), `person` (who speaks, by an id of the client's own). A browser sends the key as the
WebSocket subprotocol `openai-insecure-api-key.KEY`.
[An example that runs](../how-to/openai-client.md#realtime).
"""

SAID = {
    "session.created": "The conversation is open; `session` holds the whole configuration in force.",
    "session.updated": "The configuration as it is now.",
    "error": "Something was refused or failed: `error.code`, `error.message`; the connection goes on.",
    "input_audio_buffer.speech_started": "Somebody began to speak, `audio_start_ms` into all audio received.",
    "input_audio_buffer.speech_stopped": "… and stopped.",
    "input_audio_buffer.committed": "The utterance is over; `item_id` is the item that it became.",
    "input_audio_buffer.cleared": "It was forgotten, as asked.",
    "conversation.item.added": "There is one item more.",
    "conversation.item.done": "… and it is complete.",
    "conversation.item.retrieved": "The item that was asked for.",
    "conversation.item.deleted": "It is gone.",
    "conversation.item.truncated": "The reply holds only what was heard of it.",
    f"{_TRANSCRIPTION}.delta": "What was understood.",
    f"{_TRANSCRIPTION}.completed": "The final `transcript`, and how long the speech was.",
    f"{_TRANSCRIPTION}.failed": "It could not be understood, and why.",
    "response.created": "A response was begun.",
    "response.output_item.added": "Its message.",
    "response.content_part.added": "Its sound, or its text.",
    "response.output_audio.delta": "A piece of its sound, base64.",
    "response.output_audio.done": "No more sound.",
    "response.output_audio_transcript.delta": "A piece of the text that is spoken.",
    "response.output_audio_transcript.done": "All of it.",
    "response.output_text.delta": "A piece of a reply that is only written.",
    "response.output_text.done": "All of it.",
    "response.content_part.done": "The part is complete.",
    "response.output_item.done": "The message is complete.",
    "response.done": "The response is over: `completed`, `cancelled` or `failed`; with its usage.",
    "output_audio_buffer.started": "WebRTC: the reply can be heard now.",
    "output_audio_buffer.stopped": "WebRTC: it was heard to its end.",
    "output_audio_buffer.cleared": "What was not yet heard of the reply is dropped.",
    "kuaimei.queue": "All places are taken: `place` in the queue, `waiting`, `capacity`. Events are held.",
    "kuaimei.state": "The conversation is `listening`, `thinking` or `speaking` now.",
    "kuaimei.caption": "What was understood so far, while somebody speaks; each replaces the one before.",
    "kuaimei.utterance.limit": "It lasted `limit_s` seconds and ends as a turn; what follows is the next.",
    "kuaimei.session.ending": "The connection closes in so many `seconds`; the session can be gone on with.",
    "kuaimei.speech.dropped": "What was heard was no turn: a cough, a 「嗯」 over the reply.",
    "kuaimei.clause": "A clause, spoken `start_ms` into the reply's sound; making it took `synthesis_ms`.",
    "kuaimei.reply.held": "Somebody speaks over the reply; it is held at `heard_ms`.",
    "kuaimei.reply.resumed": "It was a false alarm; the reply goes on.",
    "kuaimei.reply.interrupted": "It was not: `heard_text` is what was heard, `reason` why it ended.",
    "kuaimei.reply.playing": "WebRTC: so much of the reply was played, `played_ms`.",
    "kuaimei.reply.hq_ready": "The beautiful rendering is there: its address (`audio`), its `clauses`.",
    "kuaimei.analysis.scored": "How something was spoken: three scores from 0 to 1, or the `reason` why not.",
    "kuaimei.turn.failed": "The turn failed at `stage` (`kind`, `message`); `apology` is said instead.",
    "kuaimei.turn.timing": "When each stage came, in ms from the last voiced frame of the user.",
    "kuaimei.goodbye": "WebRTC: why the call ends. Over WebSocket the close code says it.",
}
"""Descriptions of the server events."""


def main() -> None:
    """Write or check the file."""
    problems = differences()
    if problems:
        sys.exit("scripts/events_reference.py: " + "; ".join(problems))
    write_or_check(TARGET, render(), "scripts.events_reference")


def render() -> str:
    """Return the whole document."""
    lines = [_INTRO, "## What a client sends\n"]
    lines += table(["event", "fields", "what it does"], [_row(model) for model in get_args(ClientEvent)])
    lines += ["## What the server sends\n"]
    lines += table(["event", "what it tells"], _told("kuaimei.", own=False))
    lines += ["## What it sends beside the protocol\n"]
    lines += table(["event", "what it tells"], _told("kuaimei.", own=True))
    return "\n".join(lines).rstrip() + "\n"


def differences() -> list[str]:
    """Return what is sent but not described here, and what is described but not sent."""
    names, patterns = _in_the_code()
    problems = [f"{name} is sent and not said here" for name in sorted(names - SAID.keys())]
    problems += [
        f"{name} is said here and not sent"
        for name in sorted(SAID.keys() - names)
        if not any(pattern.fullmatch(name) for pattern in patterns)
    ]
    problems += [
        f"{pattern.pattern} is sent and not said here"
        for pattern in patterns
        if not any(pattern.fullmatch(name) for name in SAID)
    ]
    return problems


def _in_the_code() -> tuple[set[str], list[re.Pattern[str]]]:
    """Return the event names in the sending code, and patterns of those that are composed."""
    names: set[str] = set()
    patterns: set[str] = set()
    for folder in _SENDING:
        for path in (ROOT / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    names |= {node.value} if _NAME.fullmatch(node.value) else set()
                if isinstance(node, ast.Dict):
                    patterns |= {_pattern(value) for value in _types(node)}
    return names - CLIENT_EVENTS - {_TRANSCRIPTION}, [re.compile(one) for one in sorted(patterns)]


def _types(node: ast.Dict) -> Iterator[ast.JoinedStr]:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == "type" and isinstance(value, ast.JoinedStr):
            yield value


def _pattern(text: ast.JoinedStr) -> str:
    return "".join(
        re.escape(str(part.value)) if isinstance(part, ast.Constant) else "[a-z_.]+" for part in text.values
    )


def _row(model: type[BaseModel]) -> list[str]:
    (name,) = get_args(model.model_fields["type"].annotation)
    fields = [
        f"`{field}`" + ("" if info.is_required() else "?")
        for field, info in model.model_fields.items()
        if field not in {"type", "event_id"}
    ]
    return [f"`{name}`", ", ".join(fields) or "–", inspect.cleandoc(model.__doc__ or "")]


def _told(prefix: str, *, own: bool) -> Iterator[list[str]]:
    for name, text in SAID.items():
        if name.startswith(prefix) is own:
            yield [f"`{name}`", text]


if __name__ == "__main__":
    main()
