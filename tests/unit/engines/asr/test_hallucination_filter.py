import numpy as np
import pytest

from kuaimei.audio.pcm import Pcm
from kuaimei.engines.asr.hallucination_filter import (
    Hypothesis,
    collapse,
    doubt,
    is_echo,
    is_hallucinated,
    is_repetitive,
    is_silence,
    units,
    voiced_s,
)


def draft(
    text: str, log_probability: float = -0.2, no_speech: float = 0.05, finished: bool = True
) -> Hypothesis:
    return Hypothesis(text, log_probability, no_speech, finished)


def tone(seconds: float, amplitude: int = 5000) -> Pcm:
    t = np.arange(int(seconds * 16_000)) / 16_000
    return (amplitude * np.sin(2 * np.pi * 220 * t)).astype(np.int16)


def test_units_are_characters_and_words() -> None:
    assert units("我用 Python 3.11，it's 很好！") == ["我", "用", "python", "3", "11", "it's", "很", "好"]


def test_voice_is_what_stands_out_of_the_floor() -> None:
    quiet = np.random.default_rng(0).normal(0, 8, 16_000).astype(np.int16)
    pcm = np.concatenate([quiet, tone(0.5), quiet])
    assert voiced_s(pcm) == pytest.approx(0.5, abs=0.05)
    assert voiced_s(np.zeros(16_000, np.int16)) == 0.0
    assert voiced_s(np.zeros(100, np.int16)) == 0.0


def test_quiet_speech_is_voice_too() -> None:
    assert voiced_s(tone(0.5, 100)) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "text",
    [
        "我覺得我覺得我覺得我覺得",
        "請問請問請問請問請問請問今天天氣如何",
        "哈" * 12,
        "and then and then and then and then and then",
        "今天天氣很好。今天天氣很好。今天天氣很好。",
    ],
)
def test_loops_are_repetition(text: str) -> None:
    assert is_repetitive(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "對對對",
        "哈哈哈哈",
        "好好好，我知道了我知道了",
        "加油加油加油加油",
        "bye bye",
        "no no no no, that is not what I said",
        "希望你以後能夠做得比我還好喲。",
        "在密碼學中，加密是將明文資訊改變為難以讀取的密文內容，使之不可讀的方法。只有擁有解密方法的對象，"
        "經由解密過程，才能將密文還原為正常可讀的內容。",
    ],
)
def test_emphasis_is_no_repetition(text: str) -> None:
    assert not is_repetitive(text)


def test_collapsing_keeps_one_round_and_what_is_around_it() -> None:
    assert collapse("你好，今天天氣今天天氣今天天氣今天天氣怎麼樣？") == "你好，今天天氣怎麼樣？"
    assert collapse("哈" * 20) == "哈"
    assert collapse("希望你好。") == "希望你好。"
    assert collapse("a b a b a b a b a b c") == "a b c"
    assert not is_repetitive(collapse("請問" * 30))


def test_reciting_the_prompt_is_an_echo() -> None:
    prompt = "以下是臺灣繁體中文的句子。"
    assert is_echo("以下是臺灣繁體中文的句子", (prompt,))
    assert is_echo("臺灣繁體中文的句子。", (prompt,))
    assert not is_echo("句子", (prompt,))
    assert not is_echo("以下是臺灣繁體中文的句子，不過我還有話說", (prompt,))
    assert not is_echo("", (prompt,))
    assert not is_echo("你好你好", ("",))


@pytest.mark.parametrize(
    "text",
    [
        "字幕由Amara.org社群提供",
        "字幕由 Amara.org 社区提供",
        "謝謝觀看！",
        "谢谢大家的观看。",
        "請不吝點贊 訂閱 轉發 打賞支持明鏡與點點欄目",
        "Thanks for watching!",
        "Thank you so much for watching.",
        "Subtitles by the Amara.org community",
        "you",
        "Bye-bye.",
    ],
)
def test_stock_phrases_over_near_silence_are_dropped_and_spoken_ones_kept(text: str) -> None:
    assert is_hallucinated(draft(text, no_speech=0.5), 1.0)
    assert is_hallucinated(draft(text, log_probability=-0.9), 1.0)
    assert is_hallucinated(draft(text), 0.1)
    assert not is_hallucinated(draft(text), 1.0)


def test_ordinary_sentences_are_no_stock_phrases() -> None:
    assert not is_hallucinated(draft("謝謝你幫我看這個問題", no_speech=0.9), 0.1)
    assert not is_hallucinated(draft("Thank you for the help", no_speech=0.9), 0.1)
    assert not is_hallucinated(draft("字幕怎麼打開", no_speech=0.9), 0.1)


def test_words_that_the_decoder_itself_does_not_believe_are_silence() -> None:
    assert is_silence(draft("字幕", -1.02, 0.92), 2.0)
    assert not is_silence(draft("希望", -1.4, 0.09), 0.5)
    assert not is_silence(draft("Some call me nature.", -0.16, 0.7), 2.0)
    assert is_silence(draft("我會把你帶來的。", -2.2, 0.4), 0.3)
    assert not is_silence(draft("我會把你帶來的。", -2.2, 0.4), 1.3)


@pytest.mark.parametrize(
    ("given", "voice_s", "why"),
    [
        (draft("今天天氣很好。"), 1.5, ""),
        (draft("嗯"), 0.3, ""),
        (draft(""), 2.0, "empty"),
        (draft("。"), 2.0, "empty"),
        (draft("", no_speech=0.8), 2.0, ""),
        (draft(""), 0.1, ""),
        (draft("我覺得" * 8), 3.0, "repetition"),
        (draft("今天天氣很好", finished=False), 2.0, "repetition"),
        (draft("這是一句非常非常長而且絕對不可能在這麼短的時間之內說完的話"), 0.4, "too fast"),
        (draft("嗯"), 6.0, "too slow"),
        (draft("今天天氣很好", log_probability=-1.5), 1.5, "unsure"),
        (draft("嗯", log_probability=-1.5), 0.3, ""),
        (draft("So", log_probability=-1.7, no_speech=0.6), 1.5, "unsure"),
    ],
)
def test_what_is_doubted(given: Hypothesis, voice_s: float, why: str) -> None:
    assert doubt(given, voice_s) == why
