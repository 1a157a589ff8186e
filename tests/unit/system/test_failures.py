"""What the log says of an error: its kind and its places, not its words."""

import re

from kuaimei.errors import EngineError
from kuaimei.system.failures import kind_of, trace_of, words_of


def _fails() -> None:
    try:
        raise ValueError("she said: 我的密碼")
    except ValueError as error:
        raise KeyError("我的密碼") from error


def test_a_trace_has_every_place_and_no_word() -> None:
    try:
        _fails()
    except KeyError as error:
        told = trace_of(error)
    assert "密碼" not in told
    assert re.fullmatch(
        r"builtins.ValueError\n  .*test_failures.py:\d+ in _fails\nwhich led to\n"
        r"builtins.KeyError\n  .*:\d+ in test_a_trace_has_every_place_and_no_word\n  .*:\d+ in _fails",
        told,
    )


def test_the_kind_of_an_error_of_ours_is_what_it_says() -> None:
    assert kind_of(EngineError("the model is away")) == "the model is away"
    assert kind_of(OSError(28, "No space left on device", "/home/我的")) == "OSError: No space left on device"
    assert kind_of(ValueError("我的密碼")) == "ValueError"


def test_words_of_a_library_are_told_unless_they_quote() -> None:
    assert words_of(RuntimeError("out of memory"), "我的密碼") == "RuntimeError: out of memory"
    assert words_of(RuntimeError("cannot read '密碼'"), "我的密碼是") == "RuntimeError"
    assert words_of(RuntimeError("bad token SECRET"), "my secret") == "RuntimeError"
    assert words_of(RuntimeError(""), "你好") == "RuntimeError"
    assert words_of(RuntimeError("x"), "好") == "RuntimeError"
