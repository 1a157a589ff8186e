"""Filter from a language model's output to text to show and speak: no Markdown, no emoji, Traditional."""

import re
from typing import Final

from kuaimei.text.characters import is_han, is_punctuation, is_unspeakable, is_wide
from kuaimei.text.numbers import cardinal
from kuaimei.text.script import TraditionalStream

__all__ = ["MarkdownFilter", "strip_markdown"]

_CHUNK: Final = 64
"""Characters processed at a time, so that the work stays proportional to the length of a text."""
_LONGEST_MARK: Final = 200
"""Maximum characters buffered at the start of a line while they may become a line mark."""
_BULLETS: Final = "-*+•·◦▪●○■□►▶➤–—"
_LINE_MARKS: Final = re.compile(
    rf"(?P<rule>[-*_=]{{3,}}[ \t]*(?=\n)|\|?[ :|-]*-[ :|-]*(?:\|[ :|-]*)+(?=\n))"
    rf"|(?P<heading>\#{{1,6}}[ \t]+|\#{{2,6}})"
    rf"|(?P<bullet>[{_BULLETS}][ \t]+|>[ \t]*)"
    r"|(?P<number>(?P<n>\d{1,2})(?:\ufe0f?\u20e3|[.)、．])[ \t]*(?=[^\s\d]))"
)
_LINE_UNDECIDED: Final = re.compile(
    rf"\#{{1,6}}|[{_BULLETS}_=]|[-*_=]{{2,}}[ \t]*|\|[ :|-]*"
    r"|\d{1,2}(?:\ufe0f|\ufe0f?\u20e3|[.)、．])?[ \t]*"
)
_LINK: Final = re.compile(r"(?P<image>!?)\[(?P<text>[^\[\]\n]{0,80})\](?:\((?P<url>[^()\n]{0,300})\))?")
_LINK_UNDECIDED: Final = re.compile(r"!|!?\[[^\[\]\n]{0,80}(?:\]|\]\([^()\n]{0,300})?")
_TAG: Final = re.compile(r"<(?P<name>/?[A-Za-z|!][^<>\n]{0,300})>")
_TAG_UNDECIDED: Final = re.compile(r"<(?:[/A-Za-z|!][^<>\n]{0,300})?")
_COMMAND: Final = re.compile(
    r"\\frac\{([^{}\n]{0,40})\}\{([^{}\n]{0,40})\}|\\([A-Za-z]+)[ ]?|\\(.)", re.DOTALL
)
_COMMAND_UNDECIDED: Final = re.compile(r"\\(?:[A-Za-z]*|frac(?:\{[^{}\n]{0,40}(?:\}(?:\{[^{}\n]{0,40})?)?)?)")
_COMMANDS: Final = {
    "times": "×",
    "div": "÷",
    "cdot": "×",
    "pm": "±",
    "approx": "≈",
    "leq": "≤",
    "geq": "≥",
    "pi": "π",
}
_CLOSERS: Final = "」』”）》"
_OPENERS: Final = "（(「『“《"
_FULL_WIDTH: Final = {",": "，", "?": "？", "!": "！", ":": "：", ";": "；"}


def strip_markdown(text: str) -> str:
    """Remove the markup of a complete text. See `MarkdownFilter`."""
    stream = MarkdownFilter()
    return stream.push(text) + stream.flush()


class MarkdownFilter:
    """Incremental filter for a reply while it is being generated.

    Markdown, code blocks, tags, thinking blocks, list bullets and emoji are removed, list numbers become
    「第一，」, line breaks become pauses, and the rest passes `kuaimei.text.script.TraditionalStream`. Only
    text that may still become markup is held back. The result does not depend on how the text is split.

    Args:
        after: Text already returned for the same reply, if the filter continues from a prefix.
    """

    def __init__(self, after: str = "") -> None:
        self._script = TraditionalStream()
        self._open = ""
        self._skip_to = ""
        """End mark of the section being skipped; empty outside of one."""
        self._line_start = not after
        self._breaks = 0
        self._space = False
        self._last = after[-1:]
        self._out: list[str] = []

    def push(self, text: str) -> str:
        """Add ``text`` and return the new text to show and say."""
        for at in range(0, len(text), _CHUNK):
            self._open += text[at : at + _CHUNK]
            self._clean(final=False)
        return self._script.push(self._taken())

    def flush(self) -> str:
        """Return the text held back; nothing may be pushed afterwards."""
        self._clean(final=True)
        return self._script.push(self._taken()) + self._script.flush()

    def _taken(self) -> str:
        text = "".join(self._out)
        self._out.clear()
        return text

    def _clean(self, *, final: bool) -> None:
        while self._open:
            size = self._step(self._open + "\n" if final else self._open, final=final)
            if size == 0:
                break
            self._open = self._open[size:]

    def _step(self, text: str, *, final: bool) -> int:
        """Process the beginning of ``text``; return the characters consumed, 0 if more are needed first."""
        if self._skip_to:
            return self._skip(text)
        if self._line_start and (size := self._mark(text)) is not None:
            return size
        char = text[0]
        if char == "\n":
            self._breaks += 1
            self._line_start = True
            return 1
        if char in " \t\r\u3000\xa0":
            self._space = True
            return 1
        self._line_start = False
        return self._inline(text, char)

    def _skip(self, text: str) -> int:
        at = text.find(self._skip_to)
        if at < 0:
            # The mark itself may be arriving in pieces.
            return max(0, len(text) - len(self._skip_to) + 1)
        size = at + len(self._skip_to)
        self._skip_to = ""
        return size

    def _mark(self, text: str) -> int | None:
        """Process a mark at the beginning of a line; return None if there is none. See `_step`."""
        if match := _LINE_MARKS.match(text):
            if match["number"]:
                self._breaks = 2
                self._say(f"第{cardinal(int(match['n']))}，")
            return match.end()
        return 0 if len(text) < _LONGEST_MARK and _LINE_UNDECIDED.fullmatch(text) else None

    def _inline(self, text: str, char: str) -> int:
        if char == "`":
            return self._backticks(text)
        if char == "\\":
            return self._command(text)
        if char in "![":
            return self._link(text)
        if char == "<":
            return self._tag(text)
        if char in "*_~$.":
            return self._mark_or_sign(text, char)
        if char == "|":
            self._breaks = max(self._breaks, 1)
        elif char in _FULL_WIDTH and is_han(self._last):
            self._say(_FULL_WIDTH[char])
        elif not is_unspeakable(char):
            self._say(char)
        return 1

    def _backticks(self, text: str) -> int:
        size = len(text) - len(text.lstrip("`"))
        if size == len(text) and size < 3:
            return 0
        if size >= 3:
            self._skip_to = "```"
            return 3
        return size

    def _command(self, text: str) -> int:
        if _COMMAND_UNDECIDED.fullmatch(text):
            return 0
        match = _COMMAND.match(text)
        if match is None:
            return 1
        if match[3]:
            self._say(_COMMANDS.get(match[3], ""))
        elif match[4]:
            self._say("" if match[4] in "()[]\n " else match[4])
        else:
            self._say(f"{match[1]}/{match[2]}")
        return match.end() - (match[4] == "\n")

    def _link(self, text: str) -> int:
        if _LINK_UNDECIDED.fullmatch(text):
            return 0
        match = _LINK.match(text)
        if match is None:
            self._say(_FULL_WIDTH[text[0]] if text[0] == "!" and is_han(self._last) else text[0])
            return 1
        inside = match["text"]
        if match["url"] is None and not inside.isdigit():
            self._say(match.group())
        elif match["url"] is not None and not match["image"]:
            self._say(inside.replace("*", "").replace("`", ""))
        return match.end()

    def _tag(self, text: str) -> int:
        if _TAG_UNDECIDED.fullmatch(text):
            return 0
        match = _TAG.match(text)
        if match is None:
            self._say("<")
            return 1
        name = match["name"].lower()
        if name.startswith(("http://", "https://", "mailto:")):
            self._say(match["name"])
        elif name in {"think", "thinking"}:
            self._skip_to = f"</{name}>"
        elif name.startswith(("br", "p", "/p", "li", "/li", "tr", "/tr")):
            self._breaks = max(self._breaks, 1)
        return match.end()

    def _mark_or_sign(self, text: str, char: str) -> int:
        """Process a character that is markup in some places and content in others. See `_step`."""
        run = len(text) - len(text.lstrip(char))
        follows = text[run:].lstrip(" ")[:1] if char == "*" else text[run : run + 1]
        if not follows and not text.endswith("\n"):
            return 0
        if char == "*":
            if run == 1 and self._last.isdigit() and follows.isdigit():
                self._say("×")
        elif char == "_":
            if (
                self._last.isalnum()
                and follows.isalnum()
                and not is_wide(self._last)
                and not is_wide(follows)
            ):
                self._say("_" * run)
        elif char == "~":
            self._say("~" if run == 1 else "")
        elif char == "$":
            self._say("$" if run == 1 and (follows.isdigit() or self._last in ("T", "S", "K", "A")) else "")
        elif is_han(self._last) or self._last in _CLOSERS:
            self._say("……" if run > 1 else "." if follows.isascii() and follows.isalnum() else "。")
        else:
            self._say("." * min(run, 3))
        return run

    def _say(self, text: str) -> None:
        """Output ``text``, preceded by the pause or space due before it."""
        if not text:
            return
        self._out.append(self._before(text[0]))
        self._breaks, self._space = 0, False
        self._out.append(text)
        self._last = text[-1]

    def _before(self, first: str) -> str:
        """Return the pause or space due between the last output and ``first``."""
        last = self._last
        if not last or last.isspace() or not (self._breaks or self._space):
            return ""
        if self._breaks and not is_punctuation(last) and (not is_punctuation(first) or first in _OPENERS):
            if is_wide(last):
                return "。" if self._breaks > 1 else "，"
            if self._breaks > 1 or not first.islower():
                return ". " if self._breaks > 1 else ", "
        if is_wide(last) and is_wide(first):
            return ""
        # A space between Han and Latin is kept; beside full-width punctuation it is dropped.
        return " " if all(is_han(char) for char in (last, first) if is_wide(char)) else ""
