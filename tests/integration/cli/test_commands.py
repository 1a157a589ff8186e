"""The commands as a person runs them, on the real models; their JSON is an interface."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.models, pytest.mark.timeout(600)]

Run = Callable[..., "subprocess.CompletedProcess[str]"]

QUESTION = "請問臺灣最高的山是哪一座？"
TALK_KEYS = {
    "file",
    "transcript",
    "reply",
    "endpoint_ms",
    "transcript_ms",
    "first_token_ms",
    "first_clause_ms",
    "first_audio_ms",
    "last_audio_ms",
    "reply_audio_s",
}


@pytest.fixture(scope="module")
def question(kuaimei: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A spoken question, and what `say` printed of it."""
    path = tmp_path_factory.mktemp("said") / "question.wav"
    figures = json.loads(kuaimei("say", QUESTION, "-o", str(path), "--json").stdout)
    return path, figures


def test_say_writes_a_file_and_its_figures(question: tuple[Path, dict[str, float]]) -> None:
    path, figures = question
    assert set(figures) == {"characters", "audio_s", "first_audio_ms", "total_ms"}
    assert figures["characters"] == len(QUESTION)
    assert 1.5 < figures["audio_s"] < 6.0
    assert 0 < figures["first_audio_ms"] <= figures["total_ms"]
    assert path.stat().st_size > 2 * 24_000 * figures["audio_s"] * 0.9


def test_hear_writes_down_what_was_said(kuaimei: Run, question: tuple[Path, dict[str, float]]) -> None:
    heard = json.loads(kuaimei("hear", str(question[0]), "--json").stdout)
    assert set(heard) == {"text", "audio_s", "total_ms"}
    assert "最高的山" in heard["text"]


def test_talk_answers_and_tells_when(
    kuaimei: Run, question: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    talked = json.loads(kuaimei("talk", str(question[0]), "--out", str(out), "--json").stdout)
    assert set(talked) == {"turns"}
    (turn,) = talked["turns"]
    assert set(turn) == TALK_KEYS
    assert turn["file"] == "question.wav"
    assert "最高的山" in turn["transcript"]
    assert re.search("[\u4e00-\u9fff]{2}", turn["reply"])
    order = [turn[k] for k in ("transcript_ms", "first_token_ms", "first_clause_ms", "first_audio_ms")]
    assert order == sorted(order)
    assert turn["endpoint_ms"] > 0
    assert turn["first_audio_ms"] <= turn["last_audio_ms"]
    assert turn["reply_audio_s"] > 0.5
    assert (out / "question.reply.wav").stat().st_size > 24_000 * turn["reply_audio_s"]
    assert json.loads((out / "turns.json").read_text(encoding="utf-8")) == talked


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is needed to take the network away")
def test_a_conversation_needs_no_network(kuaimei: Run, question: tuple[Path, dict[str, float]]) -> None:
    """In a namespace without any interface but a loopback, no socket can leave the machine."""
    alone = (
        "unshare",
        "--net",
        "--map-root-user",
        "sh",
        "-c",
        'ip link set lo up 2>/dev/null; exec "$@"',
        "sh",
    )
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespace can be made here")
    talked = json.loads(kuaimei("talk", str(question[0]), "--json", prefix=alone).stdout)
    (turn,) = talked["turns"]
    assert turn["first_audio_ms"] is not None
    assert "errors" not in turn


def test_failures_are_one_line(kuaimei: Run, tmp_path: Path) -> None:
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"this is no recording")
    told = kuaimei("hear", str(noise), status=1).stderr.strip().splitlines()
    assert len(told) == 1
    assert told[0].startswith("kuaimei: ")
    told = kuaimei("talk", str(noise), status=1, KUAIMEI_LLM="no-such-model").stderr.strip().splitlines()
    assert len(told) == 1
    refused = kuaimei("doctor", status=2, KUAIMEI_SERVER__HOST="0.0.0.0").stderr
    assert "KUAIMEI_SERVER__API_KEY" in refused


def test_doctor_finds_a_fit_machine(kuaimei: Run) -> None:
    findings = {f["check"]: f for f in json.loads(kuaimei("doctor", "--json").stdout)["findings"]}
    assert {"python", "cores", "memory", "disk", "asr", "llm", "tts", "database", "port", "gpu"} <= set(
        findings
    )
    assert all(f["verdict"] != "fail" for f in findings.values())


def test_doctor_finds_what_others_may_read(kuaimei: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "recordings").mkdir(parents=True)
    home.chmod(0o700)
    (home / "recordings").chmod(0o755)
    told = kuaimei("doctor", "--json", status=1, KUAIMEI_HOME=str(home), KUAIMEI_STORE__KEEP="false").stdout
    found = {finding["check"]: finding for finding in json.loads(told)["findings"]}["privacy"]
    assert found["verdict"] == "fail"
    assert str(home / "recordings") in found["found"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has its databases elsewhere")
def test_doctor_finds_a_database_left_behind(kuaimei: Run, tmp_path: Path, database_dir: Path) -> None:
    base = database_dir / "left"
    place = base / "postgres-0123456789abcdef"
    place.mkdir(parents=True)
    place.with_name(f"{place.name}.home").symlink_to(tmp_path / "gone")
    more = {"KUAIMEI_STORE__DATABASE_DIR": str(base), "KUAIMEI_STORE__KEEP": "false"}
    told = kuaimei("doctor", "--json", **more).stdout
    found = [finding for finding in json.loads(told)["findings"] if str(place) in finding["found"]]
    assert [finding["verdict"] for finding in found] == ["warn"]
    assert f"rm -rf {place} {place}.home" in found[0]["mend"]
