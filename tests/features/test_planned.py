"""What is planned is listed and never passes; once it is built, the run says so."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

FEATURE = """# language: zh-TW
功能: 還沒做的
  @US-101 @happy @planned
  場景: 少了步驟
    假如 有這一步
    那麼 沒有人寫過這一步

  @US-101 @happy @planned
  場景: 已經做好
    假如 有這一步

  @US-101 @happy @planned
  場景: 做了但是壞的
    假如 這一步會失敗
"""
STEPS = """
from pytest_bdd import given, scenarios

scenarios("planned.feature")


@given("有這一步")
def _():
    pass


@given("這一步會失敗")
def _():
    raise AssertionError("broken")
"""
INI = """[pytest]
addopts = --strict-markers --import-mode=importlib
asyncio_default_fixture_loop_scope = function
"""
HOOKS = "from tests.features.planned_tags import pytest_bdd_apply_tag, pytest_terminal_summary\n"


def test_planned_scenarios(tmp_path: Path) -> None:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "planned.feature").write_text(FEATURE, encoding="utf-8")
    (folder / "test_planned.py").write_text(STEPS, encoding="utf-8")
    (folder / "conftest.py").write_text(HOOKS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(INI)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    told = done.stdout
    assert done.returncode == 1, told
    assert re.search(r"^XFAIL .*test_少了步驟", told, re.M)
    assert re.search(r"^FAILED .*test_已經做好 - \[XPASS\(strict\)\] planned", told, re.M)
    assert re.search(r"^FAILED .*test_做了但是壞的", told, re.M)
    assert "passed" not in told.splitlines()[-1]
    listed = told.partition("planned, not built: 1 scenarios")[2]
    assert "test_少了步驟" in listed
