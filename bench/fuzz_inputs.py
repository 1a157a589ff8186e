"""Inputs of the fuzzer: events, documents, texts and bytes, from the ordinary to the absurd."""

import json
import random
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

__all__ = ["EVENTS", "Inputs"]

Json: TypeAlias = Any

EVENTS: Final[Mapping[str, dict[str, Any]]] = {
    "session.update": {
        "session": {
            "type": "realtime",
            "instructions": "簡短回答",
            "output_modalities": ["text"],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.5,
                        "silence_duration_ms": 400,
                        "prefix_padding_ms": 100,
                        "create_response": True,
                    },
                    "transcription": {"language": "zh", "prompt": "快美，語音", "keywords": ["快美"]},
                },
                "output": {"voice": "zf_one", "speed": 1.2, "format": {"type": "audio/pcmu"}},
            },
            "tools": [],
        }
    },
    "input_audio_buffer.append": {"audio": ""},
    "input_audio_buffer.commit": {},
    "input_audio_buffer.clear": {},
    "conversation.item.create": {
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "你好"}]},
        "previous_item_id": None,
    },
    "conversation.item.retrieve": {"item_id": "item_x"},
    "conversation.item.delete": {"item_id": "item_x"},
    "conversation.item.truncate": {"item_id": "item_x", "content_index": 0, "audio_end_ms": 100},
    "response.create": {
        "response": {
            "instructions": "好",
            "output_modalities": ["text"],
            "metadata": {"a": "b"},
            "conversation": "auto",
        }
    },
    "response.cancel": {"response_id": "resp_x"},
    "output_audio_buffer.clear": {},
}
"""Valid event of each type, the base of mutations."""

_EXTREMES: Final[tuple[Json, ...]] = (
    *(None, True, False, 0, -1, 1, 2**31, -(2**63), 2**64, 10**30, 0.1, -0.0, 1e308, -1e308, 1e-320),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "\x00", "\ud800", "\udfff", "\uffff", "0", "null"),
    *([], {}, [[]], [{}], {"": ""}, {"\x00": 1}, {"type": "message"}, [None] * 50, "x" * 5_000, "好" * 3_000),
)
_TEXTS: Final = (
    *("你好嗎", "hello", "a\x00b", "\ud83d", "\ude00", "😀", "\u202e\u2066", "\ufeff", "\u2028", "\x1b[2J"),
    *(
        "../../etc/passwd",
        "%00",
        "%s%n",
        "{0}",
        "'; drop table utterances; --",
        "<script>",
        "=1+1",
        "\r\nX: y",
    ),
    *("À" * 40, "\x7f", "１２３", "ß", "\u0301" * 30),
)


class Inputs:
    """Generates inputs.

    Args:
        seed: The same seed gives the same inputs.
        sentinel: A word of the client that no other client may receive.
    """

    def __init__(self, seed: int, sentinel: str) -> None:
        self.chance = random.Random(seed)
        self.sentinel = sentinel
        self.ids: list[str] = ["item_x", "sess_x", "utt_x", "voice_x"]
        """Ids seen in answers, of the client itself or of others."""

    def remember(self, name: str) -> None:
        """Remember an id."""
        if len(self.ids) < 400:
            self.ids.append(name)
        else:
            self.ids[self.chance.randrange(len(self.ids))] = name

    def text(self) -> str:
        """Return a text, mostly with the sentinel in it."""
        pick = self.chance.random()
        if pick < 0.5:
            return f"{self.sentinel} {self.chance.choice(_TEXTS)}"
        if pick < 0.7:
            return self.sentinel * self.chance.choice((1, 1, 1, 40, 900))
        return "".join(self.chance.choice(_TEXTS) for _ in range(self.chance.randrange(4)))

    def name(self) -> str:
        """Return an id, existing or not."""
        if self.chance.random() < 0.7:
            return self.chance.choice(self.ids)
        return self.chance.choice(_TEXTS)

    def value(self) -> Json:
        """Return any JSON value."""
        makers: Sequence[Callable[[], Json]] = (
            lambda: self.chance.choice(_EXTREMES),
            self.text,
            self.name,
            lambda: self.chance.randrange(-(10**6), 10**6),
            lambda: [self.chance.choice(_EXTREMES) for _ in range(self.chance.randrange(5))],
            lambda: {self.text()[:20]: self.chance.choice(_EXTREMES)},
        )
        return self.chance.choice(makers)()

    def mutated(self, value: Json) -> Json:
        """Return ``value`` with a change somewhere in it."""
        chance = self.chance
        if isinstance(value, dict) and value and chance.random() < 0.9:
            name = chance.choice(list(value))
            changed = dict(value)
            pick = chance.random()
            if pick < 0.08:
                del changed[name]
            elif pick < 0.16:
                changed[self.text()[:30]] = self.value()
            else:
                changed[name] = self.mutated(value[name])
            return changed
        if isinstance(value, list) and value and chance.random() < 0.7:
            at = chance.randrange(len(value))
            pick = chance.random()
            if pick < 0.2:
                return value * chance.choice((0, 2, 30))
            return [*value[:at], self.mutated(value[at]), *value[at + 1 :]]
        if isinstance(value, str) and chance.random() < 0.5:
            return self.text()
        return self.value()

    def document(self, base: Json) -> str:
        """Return JSON of ``base``, unchanged, mutated, or broken."""
        pick = self.chance.random()
        if pick > 0.25:
            for _ in range(self.chance.choice((1, 1, 1, 2, 4))):
                base = self.mutated(base)
        text = json.dumps(base, ensure_ascii=self.chance.random() < 0.5)
        if pick > 0.93:
            text = self.broken(text)
        return text

    def event(self, audio: Sequence[str]) -> str:
        """Return the text of a client event.

        Args:
            audio: Base64 of valid audio, to choose from.
        """
        kind = self.chance.choice(list(EVENTS))
        event: dict[str, Json] = {"type": kind, **EVENTS[kind]}
        if kind == "input_audio_buffer.append":
            event["audio"] = self.chance.choice(audio)
        if kind == "conversation.item.create":
            role = self.chance.choice(("user", "assistant", "system"))
            part = {"type": "output_text" if role == "assistant" else "input_text", "text": self.text()}
            event["item"] = {"type": "message", "role": role, "content": [part]}
        for field in ("item_id", "response_id"):
            if field in event:
                event[field] = self.name()
        if self.chance.random() < 0.3:
            event["event_id"] = self.text()
        text = self.document(event)
        if self.chance.random() < 0.002:
            text = self.chance.choice(
                ("[" * 60_000, '{"a":' * 20_000, "[" + "1," * 200_000 + "1]", "9" * 9_000)
            )
        # JSON may contain lone surrogates; a frame cannot.
        return text.encode("utf-8", "replace").decode()

    def broken(self, text: str) -> str:
        """Return ``text`` with some characters missing, doubled or replaced."""
        characters = list(text)
        for _ in range(self.chance.randrange(1, 6)):
            if not characters:
                break
            at = self.chance.randrange(len(characters))
            pick = self.chance.random()
            if pick < 0.3:
                del characters[at : at + self.chance.randrange(1, 20)]
            elif pick < 0.6:
                characters[at:at] = characters[at : at + self.chance.randrange(1, 10)]
            else:
                characters[at] = self.chance.choice(string.printable + "\x00\ud800é好")
        return "".join(characters)

    def random_bytes(self, most: int = 2_000) -> bytes:
        """Return up to ``most`` random bytes."""
        return self.chance.randbytes(self.chance.randrange(most))
