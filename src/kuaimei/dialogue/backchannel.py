"""Backchannels: short acknowledgements of a listener, which are not interruptions."""

import re

__all__ = ["is_backchannel"]

_ZH = (
    "嗯|恩|喔|噢|哦|啊|呃|欸|誒|唉|哎|哈|呵|對|對啊|對對|對呀|是|是啊|是喔|是哦|是的|好|好的|好啊|好喔|"
    "了解|原來如此|真的|沒錯|這樣啊|這樣喔|懂|嗯哼"
)
_EN = (
    "uh|um|uhm|mm|mmm|hm|hmm|mhm|mm-hmm|uh-huh|uhuh|aha|ah|oh|huh|yeah|yes|yep|ok|okay|right|sure|"
    "i see|got it|wow"
)
_ONLY = re.compile(rf"(?:(?:{_ZH}|{_EN})(?:[\s,，。.!！?？、~～…]+|(?=[^a-z])|$))+", re.IGNORECASE)
_MAX_CHARS = 12
_STRIP_CHARS = " \t\n,，。.!！?？、~～…"


def is_backchannel(text: str) -> bool:
    """Return True if ``text`` (a transcript) consists of backchannels only or is empty."""
    text = text.strip(_STRIP_CHARS)
    return not text or (len(text) <= _MAX_CHARS and _ONLY.fullmatch(text) is not None)
