from kuaimei.server.rest.subtitles import Segment, srt, verbose_json, vtt

SEGMENTS = [Segment(0.25, 1.9996, "你好", "zh", 0.9), Segment(3661.5, 3662.0, "hello", "en")]


def test_subrip() -> None:
    assert srt(SEGMENTS) == (
        "1\n00:00:00,250 --> 00:00:02,000\n你好\n\n2\n01:01:01,500 --> 01:01:02,000\nhello\n\n"
    )


def test_webvtt() -> None:
    assert vtt(SEGMENTS).splitlines()[:4] == ["WEBVTT", "", "00:00:00.250 --> 00:00:02.000", "你好"]


def test_verbose() -> None:
    told = verbose_json("你好hello", SEGMENTS, 3662.2, "zh")
    assert (told["language"], told["duration"]) == ("chinese", 3662.2)
    assert told["segments"][0]["avg_logprob"] == -0.1054
    assert told["segments"][1]["avg_logprob"] == 0.0
    assert verbose_json("", [], 0.0, None)["language"] == "unknown"
