import pytest

from kuaimei.server.rest.stop_sequences import StopSequenceFilter


def through(text: str, stops: list[str], size: int) -> str:
    cutter = StopSequenceFilter(stops)
    parts = [cutter.push(text[i : i + size]) for i in range(0, len(text), size)]
    return "".join(parts) + cutter.flush()


@pytest.mark.parametrize(
    ("text", "stops", "wanted"),
    [
        ("一二三四五", ["三四"], "一二"),
        ("一二三五三", ["三四"], "一二三五三"),
        ("abcabd", ["abd"], "abc"),
        ("aaab", ["aab"], "a"),
        ("xyz", ["z", "y"], "x"),
        ("全部", [], "全部"),
        ("停", ["停"], ""),
    ],
)
def test_however_the_text_comes(text: str, stops: list[str], wanted: str) -> None:
    for size in range(1, len(text) + 1):
        assert through(text, stops, size) == wanted


def test_nothing_more_once_stopped() -> None:
    cutter = StopSequenceFilter(["。"])
    assert [cutter.push("好。再"), cutter.push("見"), cutter.flush()] == ["好", "", ""]
    assert cutter.stopped
