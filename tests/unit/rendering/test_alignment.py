"""A reply in breaths, and the clauses of the fast tier found again in them."""

from itertools import pairwise

import numpy as np
import pytest

from kuaimei.audio.pcm import EMPTY, Pcm
from kuaimei.rendering.alignment import RenderedSentence, Sentence, boundaries, clause_starts, sentences
from kuaimei.text.clauses import speech_length, split_clauses

RATE = 24_000

TEXTS = [
    "好的，沒問題。今天臺北多雲，氣溫二十五度，傍晚可能會下雨。記得帶傘！",
    "You could take the train at 8:15, or the bus. Both are fine.",
    "第一，先把水煮開；第二，放入麵條，煮八分鐘；第三，加一點鹽和油，再拌一拌就可以吃了，很簡單吧？",
    "嗯。",
    "他說：「我明天不來了。」然後就走了。",
    "這是一段完全沒有標點符號的文字它一直講一直講講了很久很久都沒有停下來因為講的人忘記要換氣了所以聽的人也很累但是他還是繼續講下去",
    "  前面有空白。 後面也有 。  ",
]


@pytest.mark.parametrize("text", TEXTS)
def test_every_word_is_in_exactly_one_sentence(text: str) -> None:
    found = sentences(text)
    assert all(text[s.start : s.end] == s.text and speech_length(s.text) for s in found)
    spoken = sum(speech_length(s.text) for s in found)
    assert spoken == pytest.approx(speech_length(text))
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(speech_length(s.text) <= 64 * 1.3 for s in found)


def test_sentences_stand_alone_and_short_ones_in_company() -> None:
    assert [s.text for s in sentences(TEXTS[0])] == [
        "好的，沒問題。今天臺北多雲，氣溫二十五度，傍晚可能會下雨。記得帶傘！"
    ]
    two = "今天臺北多雲，氣溫二十五度，傍晚可能會下雨。出門的時候記得要帶傘，也要多穿一件外套！"
    assert [s.text for s in sentences(two)] == [two[:22], two[22:]]


@pytest.mark.parametrize("text", ["", "……", " \n", "！？"])
def test_nothing_to_say(text: str) -> None:
    assert sentences(text) == []


@pytest.mark.parametrize("text", TEXTS)
def test_clauses_are_found_where_they_were_cut(text: str) -> None:
    clauses = split_clauses(text)
    starts = clause_starts(text, clauses)
    assert starts[0] == 0
    assert starts == sorted(starts)
    assert len(starts) == len(clauses)
    for start, clause in zip(starts[1:], clauses[1:], strict=True):
        assert text[start:].startswith(clause.strip())


def test_what_was_not_spoken_any_more_is_a_clause_of_its_own() -> None:
    text = "今天臺北多雲，氣溫二十五度，傍晚可能會下雨。出門的時候記得要帶傘，也要多穿一件外套！"
    assert clause_starts(text, ["今天臺北多雲，", "氣溫二十五度，"]) == [0, 7, 22]
    assert clause_starts(text, []) == [0]
    assert clause_starts(text, ["別的話"]) == [0, 0]  # nobody knows where it is


def _tone(ms: float) -> Pcm:
    times = np.arange(round(ms * RATE / 1000.0)) / RATE
    tone: Pcm = (8000 * np.sin(2 * np.pi * 220 * times)).astype(np.int16)
    return tone


def _gap(ms: float) -> Pcm:
    return np.zeros(round(ms * RATE / 1000.0), np.int16)


def _ms(sample: int) -> float:
    return sample * 1000.0 / RATE


def test_a_clause_in_the_middle_of_a_sentence_begins_at_the_pause() -> None:
    """Its place by counting characters is 160 ms too early: it is the pause that counts."""
    text = "一二三四，五六七八。"
    pcm = np.concatenate([_tone(1100), _gap(120), _tone(700), _gap(300)])
    spoken = [RenderedSentence(Sentence(text, 0, len(text)), pcm, 0)]
    first, second = boundaries(spoken, [0, 5], RATE)
    assert first == 0
    assert 1100 <= _ms(second) <= 1220


def test_a_clause_that_begins_a_sentence_begins_with_its_audio() -> None:
    text = "一二三四。五六七八。"
    one, other = np.concatenate([_tone(800), _gap(260)]), np.concatenate([_tone(900), _gap(260)])
    spoken = [
        RenderedSentence(Sentence(text[:5], 0, 5), one, 0),
        RenderedSentence(Sentence(text[5:], 5, 10), other, len(one)),
    ]
    assert boundaries(spoken, [0, 5], RATE) == [0, len(one)]


def test_without_a_pause_the_place_is_guessed_and_the_order_kept() -> None:
    text = "一二三四五六七八九十一二三四五六"
    spoken = [RenderedSentence(Sentence(text, 0, len(text)), _tone(3200), 0)]
    places = boundaries(spoken, [0, 4, 8, 12], RATE)
    assert places == sorted(places)
    for place, wanted in zip(places, (0, 800, 1600, 2400), strict=True):
        assert abs(_ms(place) - wanted) < 360


def test_silence_and_emptiness_have_places_too() -> None:
    assert boundaries([], [0, 3], RATE) == [0, 0]
    empty = [RenderedSentence(Sentence("一二三四", 0, 4), EMPTY, 0)]
    assert boundaries(empty, [0, 2], RATE) == [0, 0]
    short = [RenderedSentence(Sentence("一二三四", 0, 4), _tone(6), 0)]
    places = boundaries(short, [0, 1, 2, 3], RATE)
    assert places == sorted(places)
    assert places[-1] <= len(short[0].pcm)
