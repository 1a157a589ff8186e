"""The process that learns is told no secrets."""

import os

import pytest

from kuaimei.voices.training import process


def test_its_environment_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUAIMEI_SERVER__API_KEY", "KUAIMEI_STORE__DATABASE_URL", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "sentinel")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    found = process._environment(3)
    assert "sentinel" not in found.values()
    assert found["OMP_NUM_THREADS"] == "3"
    assert found["CUDA_VISIBLE_DEVICES"] == "0"
    assert found["PATH"] == os.environ["PATH"]
