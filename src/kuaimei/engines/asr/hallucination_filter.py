"""Plausibility checks for recognized text: silence, hallucinations, loops and prompt echoes.

Whisper writes fluent text for any input: over silence it recites the credits of its training videos,
or its own prompt; caught in a loop it repeats a phrase until it is stopped. The text alone does not
show this, so each check also uses the amount of voice and the decoder's confidence.
"""

import re
import zlib
from dataclasses import dataclass

import numpy as np

from kuaimei.audio.pcm import ASR_RATE, Pcm, to_float
from kuaimei.text.script import to_simplified

__all__ = [
    "Hypothesis",
    "collapse",
    "doubt",
    "is_echo",
    "is_hallucinated",
    "is_repetitive",
    "is_silence",
    "units",
    "voiced_s",
]

_COMPRESSION = 2.4
"""zlib compression ratio above which OpenAI's own decoder assumes repetition."""
_COMPRESSION_FROM = 60
"""Minimum number of bytes for that ratio to be meaningful."""
_UNITS_PER_S = 14.0
"""Impossible speaking rate: Han characters or Latin words per second; fast Mandarin has 8."""
_SLOW_UNITS_PER_S = 0.4
_SLOW_FROM_S = 3.0
"""For voice of at least this length, a rate below `_SLOW_UNITS_PER_S` means that most text was lost."""
_VOICE_S = 0.35
"""Seconds of voice from which an empty transcript is suspicious."""
_SILENT = 0.6
"""Probability of no speech from which an empty transcript is accepted."""
_SILENT_LOG_PROBABILITY = -1.0
_LOG_PROBABILITY = -1.1
"""Mean log probability below which the decoder is guessing."""
_SHORT_S = 0.6
"""Below this much voice (嗯, 喔, a cough) the full window does not help: measured, 2 s for other nonsense."""
_SHORT_UNITS = 3

_UNIT = re.compile(r"[A-Za-z0-9À-ɏ']+|[^\W_]")

_STOCK = re.compile(
    r"""(?xi)
    (?: (?:中文)? 字幕 (?: 由 | 提供 | 制作 | 志愿者 | by )  .*
      | 由? .{0,8} 社[群区] .{0,6} 提供 .*
      | (?: 谢谢 | 感谢 | 多谢 ) (?: 您 | 你 | 大家 )? 的? (?: 观看 | 收看 | 收听 ) .*
      | 请? (?: 不吝 )? 点[赞讚] .* (?: 订阅 | 转发 | 打赏 ) .*
      | (?: 请 | 记得 )? 订阅 .{0,12} 频道 .*
      | (?: 优优独播剧场 | 明镜与点点 | 李宗盛 | 词曲 | 作[词曲] | 编曲 ) .*
      | (?: 我们 )? 下[次期集]? (?: 再见 | 见 )
      | thank(?:s|\ you) (?: \ so\ much | \ very\ much )? \ for\ (?: watching | listening ) .*
      | (?: please\ )? (?: like\ and\ )? subscribe .*
      | subtitles?\ by .* | .* amara\.org .*
      | you | bye[.\ -]*(?:bye)? )
    """
)
"""Phrases that Whisper recites when nothing is said, in Simplified script."""

_STOCK_NO_SPEECH = 0.3
_STOCK_LOG_PROBABILITY = -0.6
_STOCK_VOICE_S = 0.25


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One decoding of one piece of audio.

    Attributes:
        text: As decoded.
        log_probability: Mean over its tokens.
        no_speech: Probability in [0, 1] that the audio holds no speech.
        finished: False if decoding was stopped before the decoder ended it.
    """

    text: str
    log_probability: float
    no_speech: float
    finished: bool = True


def units(text: str) -> list[str]:
    """Return the Han characters and Latin words of ``text``, without punctuation."""
    return _UNIT.findall(text.lower())


def voiced_s(pcm: Pcm) -> float:
    """Return the seconds of ``pcm`` (16 kHz) clearly above its noise floor: an upper bound of the speech.

    A frame of 20 ms counts if it is above -60 dBFS and within 26 dB of the loudest.
    """
    size = ASR_RATE // 50
    if len(pcm) < size:
        return 0.0
    frames = to_float(pcm[: len(pcm) // size * size]).reshape(-1, size)
    level = 10.0 * np.log10(np.mean(np.square(frames), axis=1) + 1e-10)
    loud = np.count_nonzero((level > -60.0) & (level > float(level.max()) - 26.0))
    return float(loud) * size / ASR_RATE


def _loop(text: str) -> tuple[int, int, int] | None:
    """Return start, length and count (in units) of the first implausibly repeated phrase, or None.

    「哈哈哈哈」 and 「對對對」 are speech; eight times the same character, five times the same two or
    three times the same longer phrase are not.
    """
    said = units(text)
    for length in range(1, len(said) // 3 + 1):
        least = 8 if length == 1 else 5 if length == 2 else 3
        start = 0
        while start + length * least <= len(said):
            count = 1
            while said[start : start + length] == said[start + count * length : start + (count + 1) * length]:
                count += 1
            if count >= least:
                return start, length, count
            start += 1
    return None


def is_repetitive(text: str) -> bool:
    """Return True if the decoder was caught in a loop."""
    data = text.encode()
    if len(data) >= _COMPRESSION_FROM and len(data) / len(zlib.compress(data)) > _COMPRESSION:
        return True
    return _loop(text) is not None


def collapse(text: str) -> str:
    """Return ``text`` with every loop reduced to one repetition."""
    while loop := _loop(text):
        start, length, count = loop
        spans = [match.span() for match in _UNIT.finditer(text.lower())]
        text = text[: spans[start + length - 1][1]] + text[spans[start + length * count - 1][1] :]
    return text


def is_echo(text: str, prompts: tuple[str, ...]) -> bool:
    """Return True if ``text`` is only (a long part of) one of the prompts given to the decoder."""
    said = "".join(units(text))
    return len(said) >= 4 and any(said in "".join(units(prompt)) for prompt in prompts)


def is_hallucinated(draft: Hypothesis, voice_s: float) -> bool:
    """Return True if the text is a stock phrase recognized in audio with hardly any speech.

    A speaker may well say 「謝謝觀看」: it is dropped only where the decoder itself doubts it or where
    there was next to no voice.
    """
    said = to_simplified(draft.text).strip().rstrip(" 。，！？、.,!?~…")
    if not _STOCK.fullmatch(said):
        return False
    return (
        draft.no_speech >= _STOCK_NO_SPEECH
        or draft.log_probability <= _STOCK_LOG_PROBABILITY
        or voice_s <= _STOCK_VOICE_S
    )


def is_silence(draft: Hypothesis, voice_s: float) -> bool:
    """Return True if the audio holds no speech and the decoder wrote text only because it always does.

    Applies OpenAI's own rule, and rejects a whole sentence guessed from a sound as short as 「嗯」.
    """
    if draft.no_speech >= _SILENT and draft.log_probability <= _SILENT_LOG_PROBABILITY:
        return True
    guessed = draft.log_probability < _LOG_PROBABILITY
    return guessed and voice_s < _SHORT_S and len(units(draft.text)) > _SHORT_UNITS


def doubt(draft: Hypothesis, voice_s: float) -> str:
    """Return why ``draft`` should be decoded again in another way; empty if it is plausible."""
    count = len(units(draft.text))
    if count == 0:
        return "empty" if voice_s >= _VOICE_S and draft.no_speech < _SILENT else ""
    if not draft.finished or is_repetitive(draft.text):
        return "repetition"
    if count > _UNITS_PER_S * (voice_s + 0.5):
        return "too fast"
    if voice_s >= _SLOW_FROM_S and count < _SLOW_UNITS_PER_S * voice_s:
        return "too slow"
    if draft.log_probability < _LOG_PROBABILITY and voice_s >= _SHORT_S:
        return "unsure"
    return ""
