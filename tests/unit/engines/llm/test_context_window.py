from itertools import pairwise

import pytest

from kuaimei.engines.llm.context_window import estimate_tokens, fit_context
from kuaimei.engines.types import Message

SYSTEM = Message(role="system", content="你是快美。")


def user(text: str) -> Message:
    return Message(role="user", content=text)


def assistant(text: str) -> Message:
    return Message(role="assistant", content=text)


def cost(messages: tuple[Message, ...]) -> int:
    return sum(5 + estimate_tokens(m.content) for m in messages)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("你好", 2),
        ("hello", 2),
        ("hello world", 4),
        ("2026", 4),
        ("我買了 iPhone，3,200 元。", 3 + 2 + 1 + 5 + 1 + 1),
    ],
)
def test_tokens_are_estimated_by_script(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


def test_what_fits_is_left_alone() -> None:
    messages = (SYSTEM, user("你好"), assistant("嗨！"), user("今天星期幾"))
    assert fit_context(messages, 200) == messages


def test_the_oldest_turns_go_first_and_whole() -> None:
    messages = [SYSTEM]
    for i in range(10):
        messages += [user(f"第 {i} 個問題是什麼"), assistant(f"這是第 {i} 個回答。")]
    messages.append(user("最後一個"))
    trimmed = fit_context(messages, 120)
    assert trimmed[0] == SYSTEM
    assert trimmed[1].role == "user"
    assert trimmed[1:] == tuple(messages[len(messages) - len(trimmed) + 1 :])
    assert 1 < len(trimmed) < len(messages)
    assert cost(trimmed) <= 120


def test_the_beginning_moves_in_strides_so_that_a_prompt_cache_holds() -> None:
    messages = [SYSTEM]
    beginnings = []
    for i in range(60):
        messages.append(user(f"第 {i} 個問題，今天天氣如何"))
        trimmed = fit_context(messages, 400)
        assert cost(trimmed) <= 400
        beginnings.append(trimmed[1].content)
        messages.append(assistant(f"第 {i} 個回答，天氣很好。"))
    moves = sum(a != b for a, b in pairwise(beginnings))
    assert 5 <= moves <= 20  # about 27 tokens a turn, strides of about 97


def test_system_prompt_and_latest_message_always_stay() -> None:
    prompt = Message(role="system", content="規則。" * 15)
    messages = [prompt, user("一" * 100), assistant("二" * 100), user("三")]
    assert fit_context(messages, 60) == (prompt, user("三"))


def test_system_text_beyond_its_share_loses_its_end() -> None:
    long = Message(role="system", content="你是快美。" + "規則" * 1000)
    first, *others, last = fit_context([long, long, user("一" * 10), user("三")], 400)
    assert first.role == "system"
    assert first.content.startswith("你是快美。")
    assert first.content.endswith("規則…")
    assert 280 <= cost((first,)) <= 300
    assert [m.role for m in others] == ["user"]
    assert last == user("三")


@pytest.mark.parametrize("unit", ["!", "a!", "好a", "a ", "é!", "😀"])
def test_system_text_of_megabytes_is_not_counted_to_its_end(unit: str, counted: list[int]) -> None:
    fit_context([Message(role="system", content=unit * 1_000_000), user("三")], 3000)
    assert sum(counted) < 1_000_000


def test_a_turn_of_a_thousand_messages_is_shortened_in_one_go(counted: list[int]) -> None:
    trimmed = fit_context([user(f"第{n}句" * 20) for n in range(1000)], 2000)
    assert sum(counted) < 1_000_000
    assert trimmed[-1].role == "user"


def test_lengths_that_are_known_are_not_counted_again(counted: list[int]) -> None:
    messages = [user("今天" * 200), assistant("好" * 200), user("明天" * 10)]
    lengths = [estimate_tokens(m.content) for m in messages]
    counted.clear()
    assert fit_context(messages, 250, lengths) == fit_context(messages, 250)
    counted.clear()
    fit_context(messages, 1000, lengths)
    assert not counted


def test_an_overlong_latest_message_loses_its_beginning() -> None:
    text = "頭" + "中" * 500 + "尾巴在這裡"
    trimmed = fit_context([SYSTEM, user(text)], 100)
    assert trimmed[0] == SYSTEM
    assert trimmed[1].content.startswith("…")
    assert trimmed[1].content.endswith("尾巴在這裡")
    assert 90 <= cost(trimmed) <= 100


def test_a_last_turn_with_a_reply_begun_is_kept_within_the_budget() -> None:
    trimmed = fit_context([user("問" * 300), assistant("答" * 300)], 100)
    assert [m.role for m in trimmed] == ["user", "assistant"]
    assert cost(trimmed) <= 100


def test_history_that_begins_with_a_reply_keeps_order() -> None:
    messages = (SYSTEM, assistant("哈囉！"), user("嗨"))
    assert fit_context(messages, 100) == messages


@pytest.mark.parametrize("budget", [0, 1, 5, 17])
def test_a_hopeless_budget_still_gives_a_prompt(budget: int) -> None:
    trimmed = fit_context([SYSTEM, user("一" * 50), assistant("二" * 50), user("三" * 50)], budget)
    assert trimmed[0] == SYSTEM
    assert trimmed[-1].role == "user"


def test_nothing_but_a_system_prompt() -> None:
    assert fit_context([SYSTEM], 10) == (SYSTEM,)
    assert fit_context([], 10) == ()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of all texts whose tokens were counted."""
    lengths: list[int] = []

    def count(text: str) -> int:
        lengths.append(len(text))
        return estimate_tokens(text)

    monkeypatch.setattr("kuaimei.engines.llm.context_window.estimate_tokens", count)
    return lengths


def test_a_pasted_book_is_not_counted_to_its_end(counted: list[int]) -> None:
    book = "今天天氣很好，" * 100_000
    messages = fit_context([SYSTEM, user(book), assistant("好長。"), user(book)], 1400)
    assert max(counted) < 10_000
    assert book.endswith(messages[-1].content.removeprefix("…"))
    assert 1300 < cost(messages) <= 1400
