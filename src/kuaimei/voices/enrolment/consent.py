"""Consent statements for cloning a voice; the wording is stored with the voice."""

from typing import Final, Literal

__all__ = ["STATEMENTS"]

STATEMENTS: Final[dict[Literal["zh", "en"], str]] = {
    "zh": (
        "這是我本人的聲音，或說話的人已經同意我在這套系統裡複製並使用他的聲音。"
        "我知道隨時可以刪除這個聲音和由它產生的一切。"
    ),
    "en": (
        "This is my own voice, or the speaker has agreed that I copy their voice and use it in this system. "
        "I know that the voice and everything made from it can be deleted at any time."
    ),
}
"""Wordings offered to clients; any other wording is stored as given."""
