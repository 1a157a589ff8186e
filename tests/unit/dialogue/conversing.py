"""A conversation of fakes that answers with one sentence."""

from typing import Any

from kuaimei.dialogue.conversation import Conversation
from kuaimei.settings import DialogueSettings
from tests.support.fakes import EventLog, FakeLanguageModel, fake_engines

__all__ = ["REPLY", "conversation"]

REPLY = "今天是晴天，最高溫是二十八度左右，適合出門走走散散步。"


def conversation(log: EventLog, settings: dict[str, Any] | None = None, **parts: Any) -> Conversation:
    parts.setdefault("language_model", FakeLanguageModel(REPLY))
    about = {name: parts.pop(name) for name in ("reply_options", "earlier", "first_turn") if name in parts}
    settings = {"unready_silence_ms": 0, **(settings or {})}
    return Conversation(fake_engines(**parts), DialogueSettings(**settings), "s", [log], **about)
