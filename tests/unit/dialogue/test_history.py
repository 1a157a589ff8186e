import pytest

from kuaimei.dialogue.history import ChatHistory
from kuaimei.engines.llm.context_window import estimate_tokens
from kuaimei.engines.types import Message


def contents(history: ChatHistory, said: str = "") -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in history.messages(said)]


def test_two_in_a_row_of_one_speaker_become_one() -> None:
    history = ChatHistory([Message(role="user", content="早")])
    history.add("assistant", "  ")
    history.add("user", "安")
    assert contents(history) == [("user", "早\n安")]
    assert contents(history, "嗎") == [("user", "早\n安\n嗎")]


def test_words_take_their_place_when_they_are_known() -> None:
    history = ChatHistory()
    first, reply = history.add("user"), history.add("assistant")
    history.add("user", "二")
    assert contents(history) == [("user", "二")]
    first.content, reply.content = "一", "答"
    assert contents(history) == [("user", "一"), ("assistant", "答"), ("user", "二")]
    reply.content = ""
    assert contents(history) == [("user", "一\n二")]


def test_a_request_begins_with_the_prompt_and_ends_with_the_user() -> None:
    history = ChatHistory()
    for i in range(50):
        history.add("user", f"問題{i}" * 5)
        history.add("assistant", f"答案{i}" * 5)
    messages = history.request("提示", 300, "現在")
    assert messages[0] == Message(role="system", content="提示")
    assert messages[-1] == Message(role="user", content="現在")
    assert messages[1].role == "user"
    assert 3 < len(messages) < 40


def test_an_endless_session_is_bounded() -> None:
    history = ChatHistory()
    for i in range(2000):
        history.add("user" if i % 2 == 0 else "assistant", str(i))
    assert len(history.messages()) == 400
    assert history.messages()[-1].content == "1999"


def test_messages_are_taken_out_by_their_labels() -> None:
    history = ChatHistory([Message(role="user", content="早"), Message(role="assistant", content="早安")])
    history.add("user", "一", label="user_1")
    reply = history.add("assistant", label="reply_1")
    assert history.remove("earlier_1")
    assert history.remove("reply_1")
    assert not history.remove("reply_1")
    assert not history.remove("reply_7")
    reply.content = "說到一半"  # a reply under way goes on, and is not remembered
    assert contents(history) == [("user", "早\n一")]


def test_the_prompt_of_an_endless_session_goes_on_from_the_last_one() -> None:
    history, before, anew = ChatHistory(), "", list[int]()
    for turn in range(500):
        history.add("user", f"第{turn}個問題是什麼呢")
        history.add("assistant", f"第{turn}個回答是這樣")
        text = "".join(m.content for m in history.request("提示", 1400))
        if not text.startswith(before):
            anew.append(turn)
        before = text
    assert len(anew) < 50  # a prompt cache is of no use otherwise
    assert len(history.messages()) <= 400


def test_the_prompt_stays_whole_and_the_rest_gets_its_share() -> None:
    history = ChatHistory()
    for n in range(50):
        history.add("user", f"第{n}個問題")
        history.add("assistant", f"第{n}個回答")
    prompt, *said = history.request("規則。" * 1000, 1400)
    assert prompt.content == "規則。" * 1000
    assert 200 < sum(5 + estimate_tokens(m.content) for m in said) <= 350


def test_an_endless_session_is_bounded_in_characters_too() -> None:
    history = ChatHistory()
    for n in range(30):
        history.add("system", f"{n}" + "!" * 19_999)
    kept = sum(len(m.content) for m in history.messages())
    assert 150_000 < kept < 270_000
    assert history.messages()[-1].content.endswith("29" + "!" * 19_999)


def test_what_was_counted_is_not_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return estimate_tokens(text)

    monkeypatch.setattr("kuaimei.dialogue.history.estimate_tokens", count)
    history = ChatHistory()
    entry = history.add("user", "今天")
    history.add("assistant", "好")
    history.request("提示", 1400)
    assert counted[:2] == ["今天", "好"]
    counted.clear()
    history.request("提示", 1400)
    assert not counted
    entry.content = "明天"
    history.request("提示", 1400)
    assert "明天" in counted


def test_lengths_of_joined_messages_are_those_of_their_text() -> None:
    history = ChatHistory()
    for text in ("hello ", " world", "a  b", "好"):
        history.add("user", text)
    ((message, tokens),) = history._joined("嗎")
    assert tokens == estimate_tokens(message.content)
