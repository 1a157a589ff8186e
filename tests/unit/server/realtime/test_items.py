from typing import Any

import pytest

from kuaimei.server.realtime import items as room
from kuaimei.server.realtime.items import Items, assistant_item, message_of, user_audio_item
from kuaimei.server.realtime.protocol import ProtocolError


def message(role: str, *texts: str, kind: str = "input_text", **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": t} for t in texts], **more}


def test_messages_of_every_role() -> None:
    for role, kind in (("user", "input_text"), ("system", "input_text"), ("assistant", "output_text")):
        item, made = message_of(message(role, "一", "二", kind=kind, id="mine"), Items())
        assert (item["id"], item["status"], item["object"]) == ("mine", "completed", "realtime.item")
        assert (made.role, made.content) == (role, "一\n二")
    assert message_of(message("user", "x"), Items())[0]["id"].startswith("item_")


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "function_call"}, "item.type"),
        (message("tool", "x"), "item.role"),
        (message("user"), "item.content"),
        (message("user", " "), "item.content"),
        (message("assistant", "x"), "item.content.0"),
        ({"type": "message", "role": "user", "content": ["x"]}, "item.content.0"),
        (message("user", "x", id="taken"), "item.id"),
        (message("user", "x", id="i" * 65), "item.id"),
        (message("user", "x", id=7), "item.id"),
    ],
)
def test_what_is_no_message_is_refused(item: dict[str, Any], param: str) -> None:
    existing = Items()
    existing.add(user_audio_item("taken"), label="")
    with pytest.raises(ProtocolError) as error:
        message_of(item, existing)
    assert error.value.param == param


def test_order_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "REMEMBERED", 3)
    items = Items()
    assert items.last_id is None
    befores = [items.add(user_audio_item(f"item_{n}"), label="") for n in range(5)]
    assert befores == [None, "item_0", "item_1", "item_2", "item_3"]
    assert "item_1" not in items
    assert items.get("item_4")["id"] == "item_4"
    with pytest.raises(ProtocolError):
        items.get("item_1")


def test_tokens_are_counted_up_to_a_limit() -> None:
    items = Items()
    items.add(assistant_item("a", "completed", spoken=True, text="一二三四五"), label="")
    items.add(message_of(message("user", "六七"), items)[0], label="")
    items.add(user_audio_item("u"), label="")
    assert items.tokens(100) == 7
    assert items.tokens(6) == 6
    items.truncate("a", "一")
    assert items.tokens(100) == 3
    items.truncate("nobody", "x")


@pytest.mark.parametrize("strange", [[], {}, [["user"]], 1.5, None, True])
def test_what_is_no_name_is_told_so(strange: object) -> None:
    """Anything may stand where a name should, also what cannot be looked up in a set."""
    for item in (
        {"type": strange, "role": "user", "content": []},
        {"type": "message", "role": strange, "content": [{"type": "input_text", "text": "x"}]},
        {"type": "message", "role": "user", "content": [{"type": strange, "text": "x"}]},
        {"type": "message", "role": "user", "content": [strange]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": strange}]},
    ):
        with pytest.raises(ProtocolError):
            message_of(item, Items())


def test_the_oldest_are_forgotten_when_they_are_many_characters() -> None:
    items = Items()
    for n in range(60):
        item, _ = message_of(message("user", "x", id=f"i{n}"), items)
        item["content"][0]["text"] = "x" * 20_000
        items.add(item, label=str(n))
    assert "i0" not in items
    assert "i59" in items


def test_what_a_client_put_in_is_counted_while_it_is_there() -> None:
    items = Items()
    for n in range(3):
        item, _ = message_of(message("system", "一二三四五", id=f"i{n}"), items)
        items.add(item, label=str(n), given=True)
    assert items.given_characters == 15
    items.remove("i1")
    assert items.given_characters == 10
