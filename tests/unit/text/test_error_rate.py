from kuaimei.text.error_rate import edit_distance, error_rate, units


def test_script_and_marks_do_not_count_in_mandarin() -> None:
    assert units("臺灣，OK!", "zh") == units("台湾ok", "zh")


def test_english_counts_words() -> None:
    assert units("It's 3 o'clock.", "en") == ["it's", "3", "o'clock"]


def test_edits_are_the_fewest() -> None:
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3
    assert edit_distance("abc", "abc") == 0


def test_the_rate_is_over_all_pairs() -> None:
    assert error_rate([("今天天氣好", "今天天汽好"), ("好的", "好的")], "zh") == 1 / 7
    assert error_rate([], "zh") == 0.0
    assert error_rate([("對", "對對對")], "zh") == 2.0
