"""``kuaimei people`` and ``kuaimei key`` as they are run: beside a server that runs, and without one."""

import io
import json
import os
import pty
import re
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kuaimei.people.keys import digest, is_key
from kuaimei.settings import Settings
from kuaimei.store import open_store
from tests.integration.people.test_me import dumped, everywhere
from tests.support.people.commands import environment, run_command
from tests.support.people.two_people import SECRET, two
from tests.support.server.realtime_client import talking

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def kuaimei(settings: Settings) -> Run:
    """Runs the command with the store of the test; its output is no terminal."""

    return partial(run_command, settings, stdin="")


def as_json(kuaimei: Run, *arguments: str, **more: Any) -> Any:
    return json.loads(kuaimei(*arguments, "--json", **more).stdout)


def test_a_key_is_printed_once_and_handed_over(kuaimei: Run) -> None:
    done = kuaimei("people", "add", "陳 怡君", KUAIMEI_SERVER__ALLOWED_HOSTS='["voice.lan"]')
    (key,) = done.stdout.splitlines()
    assert is_key(key)
    assert f"https://voice.lan/#key={key}" in done.stderr
    assert "shown only once" in done.stderr
    listed = kuaimei("people", "list").stdout.splitlines()
    assert listed[0] == "id\tname\trole\tkeys\tsessions\tvoices\tsince"
    assert [line.split("\t")[1:6] for line in listed[1:]] == [
        ["local", "operator", "0", "0", "0"],
        ["陳 怡君", "member", "1", "0", "0"],
    ]
    assert key not in kuaimei("people", "keys", "陳 怡君").stdout
    told = kuaimei("people", "add", "陳 怡君", status=1).stderr.splitlines()
    assert told == ["kuaimei: the name '陳 怡君' is already taken; choose another name"]
    for nobody in ("", "a" * 81, "person_x"):
        assert len(kuaimei("people", "add", nobody, status=1).stderr.splitlines()) == 1


def test_of_a_server_with_its_own_certificate_the_address_is_one_of_that(kuaimei: Run) -> None:
    more = {"KUAIMEI_SERVER__HTTPS": "true", "KUAIMEI_SERVER__HOST": "0.0.0.0"}
    address = as_json(kuaimei, "people", "add", "anna", **more)["address"]
    assert re.fullmatch(r"https://[\w-]+\.local:8000/#key=km_\w+", address)


def test_keys_come_and_go(kuaimei: Run, settings: Settings) -> None:
    first = as_json(kuaimei, "people", "add", "anna", "--role", "operator")
    assert (first["person"]["name"], first["person"]["role"]) == ("anna", "operator")
    second = as_json(kuaimei, "people", "key", "anna", "--label", "手機")
    assert second["key"]["label"] == "手機"
    by_prefix = as_json(kuaimei, "people", "revoke", second["key"]["prefix"])
    assert by_prefix["revoked_at"] is not None
    as_json(kuaimei, "people", "revoke", first["key"]["id"])
    found = as_json(kuaimei, "people", "keys", first["person"]["id"])["keys"]
    assert [(key["id"], key["revoked_at"] is not None) for key in found] == [
        (first["key"]["id"], True),
        (second["key"]["id"], True),
    ]
    assert "km_none" in kuaimei("people", "revoke", "km_none", status=1).stderr
    assert as_json(kuaimei, "people", "role", "anna", "member")["role"] == "member"
    assert "kuaimei key" in kuaimei("people", "key", "local", status=1).stderr
    kuaimei("people", "role", "local", "member", status=1)
    kuaimei("people", "remove", "local", status=1)
    kuaimei("people", "remove", "anna")
    assert "there is no person called" in kuaimei("people", "keys", "anna", status=1).stderr
    assert as_json(kuaimei, "people", "me")["id"] == "local"
    off = kuaimei("people", "list", status=1, KUAIMEI_STORE__KEEP="false").stderr
    assert "KUAIMEI_STORE__KEEP" in off


@pytest.mark.parametrize("command", [("people", "list"), ("people", "keys", "anna")])
def test_no_id_is_broken_on_a_narrow_terminal(
    kuaimei: Run, settings: Settings, command: tuple[str, ...]
) -> None:
    given = as_json(kuaimei, "people", "add", "anna", "--label", "一支很長很長很長很長很長很長名字的手機")
    told, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "kuaimei", *command],
        env={**environment(settings), "COLUMNS": "80", "TERM": "xterm"},
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    os.close(terminal)
    assert done.returncode == 0
    with io.FileIO(told) as output:
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", _all(output))
    wanted = given["person"]["id"] if command[1] == "list" else given["key"]["id"]
    assert wanted in text
    assert "┃" in text or "│" in text  # it is a table


def _all(output: io.FileIO) -> str:
    pieces = []
    try:
        while piece := output.read(65_536):
            pieces.append(piece)
    except OSError:  # how a terminal says that it is over
        pass
    return b"".join(pieces).decode()


async def test_beside_a_server_that_runs(settings: Settings, kuaimei: Run, tmp_path: Path) -> None:
    import asyncio

    async with two(settings) as both:
        await both.own(both.anna)
        given = await asyncio.to_thread(as_json, kuaimei, "people", "add", "claire")
        shown = {"Authorization": f"Bearer {given['key']['text']}"}
        async with asyncio.timeout(20):
            while (await both.ben.http.get("/api/me", headers=shown)).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        async with talking(both.served, additional_headers=shown) as talk:
            await asyncio.to_thread(kuaimei, "people", "revoke", given["key"]["id"])
            assert (await talk.error())["code"] == "key_revoked"

        file = tmp_path / "anna.zip"
        told = await asyncio.to_thread(as_json, kuaimei, "people", "export", "陳怡君", "-o", str(file))
        assert told["bytes"] == file.stat().st_size
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
            assert f"sessions/{both.anna.ids['session']}/transcript.txt" in archive.namelist()
            assert f"voices/{both.anna.ids['voice']}/reference.flac" in archive.namelist()

        assert (await both.anna.http.get(f"/api/voices/{both.anna.ids['voice']}/sample")).status_code == 200
        assert list((settings.home / "cache").rglob("*.mp3"))
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"又{SECRET}"}]}
        async with talking(both.served, additional_headers=both.anna.shown) as talk:
            await talk.send("conversation.item.create", item=item)
            await talk.until("conversation.item.done")
            done = await asyncio.to_thread(kuaimei, "people", "forget", "陳怡君", "--yes")
            assert (await talk.error())["code"] == "key_revoked"
        assert await both.store.flush()
        assert "none of their data was found" in done.stderr
        assert "not searched: backups" in done.stderr
        assert "database: utterances.transcript\t0" in done.stdout
        words = (SECRET, "陳怡君", both.anna.person.id, digest(both.anna.key), *both.anna.ids.values())
        after = await dumped(both)
        assert [word for word in words if word in after] == []
        assert everywhere(settings.home, *words) == []
        assert not list((settings.home / "cache").rglob("*.mp3"))  # their names do not tell of whom they are
        listed = await asyncio.to_thread(kuaimei, "people", "list")
        assert "陳怡君" not in listed.stdout


async def test_forgetting_asks_first_and_says_what_is_left(settings: Settings, kuaimei: Run) -> None:
    import asyncio

    async with two(settings) as both:
        await both.own(both.anna)
        session = both.anna.ids["session"]
        refused = await asyncio.to_thread(kuaimei, "people", "forget", "陳怡君", stdin="n\n", status=1)
        assert "1 sessions and 1 voices" in refused.stderr
        assert (await both.store.session(session)).owner == both.anna.person.id
        # Somebody copied a sentence, and something names the session: that is found, and told.
        (settings.home / "notes").mkdir()
        (settings.home / "notes" / "mine.txt").write_text(f"she said: {SECRET}!")
        (settings.home / "spool" / f"{session}.txt").write_text("")
        done = await asyncio.to_thread(kuaimei, "people", "forget", "陳怡君", "--yes", "--json", status=1)
        left = {place["place"]: place["found"] for place in json.loads(done.stdout)["left"]}
        assert left == {"files: notes": 1, "files: spool": 1}


def test_the_machines_own_key(kuaimei: Run, settings: Settings) -> None:
    first = kuaimei("key").stdout.strip()
    assert is_key(first)
    assert kuaimei("key").stdout.strip() == first
    assert stat.S_IMODE((settings.home / "key").stat().st_mode) == 0o600
    second = as_json(kuaimei, "key", "--new")["key"]
    assert second != first
    assert kuaimei("key").stdout.strip() == second
    assert "requires no key" in kuaimei("key", KUAIMEI_SERVER__OPEN="true").stderr


def test_settings_are_named_on_the_command_line(kuaimei: Run, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[store]\nkeep = false\n")
    assert "KUAIMEI_STORE__KEEP" in kuaimei("--config", str(file), "people", "list", status=1).stderr
    assert "the settings file" in kuaimei("--config", "nowhere", "people", "list", status=1).stderr


async def test_nobody_is_half_removed(settings: Settings) -> None:
    async with open_store(settings) as store:
        anna = await store.people.add("anna")
        await store.create_session(owner=anna.id)
        await store.people.begin_forgetting(anna.id, "all")
        assert await store.keys.valid() == []
        assert [person.forgetting for person in await store.people.all()] == [None, "all"]
