from collections.abc import AsyncGenerator, Sequence

import pytest

from kuaimei.engines.llm.postprocess import on_screen
from kuaimei.text.wellformed import is_well_formed


async def shown(pieces: Sequence[str]) -> str:
    async def written() -> AsyncGenerator[str, None]:
        for piece in pieces:
            yield piece

    texts = [text async for text in on_screen(written(), "")]
    assert all(map(is_well_formed, texts))
    return "".join(texts)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["你好\x00嗎", "？"], "你好嗎？"),  # it would be the end of the text in a library written in C
        (["好", "\ud83d", "\ude00", "。"], "好。"),  # no picture can be spoken
        (["好\ud83d"], "好"),
        (["\ude00好"], "好"),
        (["\ud83d", "好"], "好"),
    ],
)
async def test_a_models_words_are_text(pieces: list[str], text: str) -> None:
    assert (await shown(pieces)).replace(" ", "") == text
