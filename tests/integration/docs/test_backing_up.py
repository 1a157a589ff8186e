"""The commands for backing up and restoring, as they stand in the documentation, on a real database."""

import re
from pathlib import Path

from kuaimei.settings import Settings
from kuaimei.store import open_store
from tests.integration.docs.blocks import ROOT, blocks, run

_PAGE = "docs/how-to/back-up-and-restore.md"
_OTHERS = re.compile(r"^(make|\.venv/bin/kuaimei) .*\n|^make setup && make run\n", re.M)
"""What starts and stops the server: the tests open the store instead."""


def commands(section: str, folder: Path) -> list[str]:
    """Of the page, with their files in ``folder``."""
    found = []
    for _, code in blocks(_PAGE, "sh", section=section):
        code = _OTHERS.sub("", code)
        found.append(re.sub(r"\b(backup\.\w[\w.]*|recordings\.tar\.gz)", rf"{folder}/\1", code))
    return found


async def begin(home: Path) -> None:
    async with open_store(Settings(home=home)) as store:
        await store.ensure_session("sess_kept")
        await store.rename_session("sess_kept", "備份")
    (home / "recordings").mkdir(exist_ok=True)
    (home / "recordings" / "one.flac").write_bytes(b"sound")


async def titles(home: Path) -> list[str]:
    async with open_store(Settings(home=home)) as store:
        return [session.title for session in await store.sessions()]


async def test_stopped(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    await begin(before)
    save, restore = commands("Stopped", tmp_path)
    await run("sh", save, ROOT, KUAIMEI_HOME=str(before))
    await run("sh", restore, ROOT, KUAIMEI_HOME=str(after))
    assert await titles(after) == ["備份"]
    assert (after / "recordings" / "one.flac").read_bytes() == b"sound"


async def test_while_it_runs(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    await begin(before)
    save, restore = commands("While it runs", tmp_path)
    (binaries,) = re.findall(r"^BIN=.*$", save, re.M)
    async with open_store(Settings(home=before)):
        await run("sh", save, ROOT, KUAIMEI_HOME=str(before))
    async with open_store(Settings(home=after)):
        await run("sh", f"{binaries}\n{restore}", ROOT, KUAIMEI_HOME=str(after))
    assert await titles(after) == ["備份"]
    assert (after / "recordings" / "one.flac").read_bytes() == b"sound"
