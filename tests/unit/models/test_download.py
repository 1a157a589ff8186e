import errno
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from kuaimei.models import download as module
from kuaimei.models.download import RemoteFile, download
from kuaimei.models.errors import DiskFull, Missing, PullStopped, Unreachable, WrongHash, ensure_room
from tests.unit.models.serving import Site, sha256

DATA = bytes(range(256)) * 40_000  # 10 MB


def _remote(site: Site, data: bytes = DATA, path: str = "/x") -> RemoteFile:
    site.pages[path] = data
    return RemoteFile("the file", f"{site.address}{path}", len(data), sha256(data))


def _fetch(client: httpx.Client, remote: RemoteFile, into: Path, **more: Any) -> list[float]:
    pauses: list[float] = []
    download(client, remote, into, pause=pauses.append, **more)
    return pauses


def test_what_comes_is_what_was_sent_and_every_byte_is_counted_once(
    site: Site, client: httpx.Client, tmp_path: Path
) -> None:
    counted: list[int] = []

    _fetch(client, _remote(site), tmp_path / "f", advance=counted.append)

    assert (tmp_path / "f").read_bytes() == DATA
    assert sum(counted) == len(DATA)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_cut_connection_is_gone_on_with_from_where_it_broke(
    site: Site, client: httpx.Client, tmp_path: Path
) -> None:
    remote = _remote(site)
    site.cuts["/x"] = [3_000_000, 2_000_000]
    counted: list[int] = []

    pauses = _fetch(client, remote, tmp_path / "f", advance=counted.append)

    assert (tmp_path / "f").read_bytes() == DATA
    assert sum(counted) == len(DATA)
    spans = [span for _, _, span in site.asked]
    assert spans[0] == ""
    assert [int(s.removeprefix("bytes=").rstrip("-")) > 0 for s in spans[1:]] == [True, True]
    assert len(pauses) == 2


def test_what_an_earlier_run_left_is_not_fetched_again(
    site: Site, client: httpx.Client, tmp_path: Path
) -> None:
    remote = _remote(site)
    (tmp_path / "f.part").write_bytes(DATA[:4_000_000])

    _fetch(client, remote, tmp_path / "f")

    assert (tmp_path / "f").read_bytes() == DATA
    assert site.asked == [("GET", "/x", "bytes=4000000-")]


def test_what_is_whole_already_is_not_fetched(site: Site, client: httpx.Client, tmp_path: Path) -> None:
    remote = _remote(site)
    (tmp_path / "f").write_bytes(DATA)
    counted: list[int] = []

    _fetch(client, remote, tmp_path / "f", advance=counted.append)

    assert site.asked == []
    assert counted == [len(DATA)]


def test_a_server_that_cannot_resume_sends_all_of_it(
    site: Site, client: httpx.Client, tmp_path: Path
) -> None:
    remote = _remote(site)
    site.resumable = False
    (tmp_path / "f.part").write_bytes(DATA[:4_000_000])
    counted: list[int] = []

    _fetch(client, remote, tmp_path / "f", advance=counted.append)

    assert (tmp_path / "f").read_bytes() == DATA
    assert sum(counted) == len(DATA)


@pytest.mark.parametrize("left", [len(DATA) // 2, len(DATA)])
def test_damage_in_what_an_earlier_run_left_costs_one_more_try(
    site: Site, client: httpx.Client, tmp_path: Path, left: int
) -> None:
    remote = _remote(site)
    (tmp_path / "f.part").write_bytes(b"\0" * left)

    _fetch(client, remote, tmp_path / "f")

    assert (tmp_path / "f").read_bytes() == DATA


def test_a_wrong_file_is_refused_and_thrown_away(site: Site, client: httpx.Client, tmp_path: Path) -> None:
    remote = _remote(site)
    site.pages["/x"] = DATA[:-1] + b"?"

    with pytest.raises(WrongHash, match=r"the file .*SHA-256 differs"):
        _fetch(client, remote, tmp_path / "f")

    assert not (tmp_path / "f").exists()
    assert (tmp_path / "f.part").stat().st_size == 0


def test_a_file_that_never_ends_is_refused(site: Site, client: httpx.Client, tmp_path: Path) -> None:
    remote = _remote(site)
    site.pages["/x"] = DATA * 2

    with pytest.raises(WrongHash, match="longer"):
        _fetch(client, remote, tmp_path / "f")


def test_what_is_not_offered_is_told_apart_from_what_cannot_be_reached(
    site: Site, client: httpx.Client, tmp_path: Path
) -> None:
    remote = _remote(site)
    site.codes["/x"] = 404
    with pytest.raises(Missing, match="404"):
        _fetch(client, remote, tmp_path / "f")

    site.codes["/x"] = 503
    with pytest.raises(Unreachable, match="503"):
        _fetch(client, remote, tmp_path / "f")

    nobody = RemoteFile("the file", "http://127.0.0.1:9/x", 1, sha256(b"x"))
    with pytest.raises(Unreachable, match="the file cannot be reached"):
        _fetch(client, nobody, tmp_path / "f")


def test_a_full_disk_is_told_as_such_and_what_came_stays(
    site: Site, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = _remote(site)
    whole = module._Body.add

    def add(body: module._Body, chunk: bytes) -> None:
        if body.size > 5_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(body, chunk)

    monkeypatch.setattr(module._Body, "add", add)
    with pytest.raises(DiskFull, match="became full"):
        _fetch(client, remote, tmp_path / "f")
    monkeypatch.undo()
    assert (tmp_path / "f.part").stat().st_size > 5_000_000

    _fetch(client, remote, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA


def test_room_is_looked_at_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = type("Usage", (), {"free": 2_000_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: free)

    ensure_room(tmp_path, 1_900_000_000)
    with pytest.raises(DiskFull, match=r"3\.0 GB needed, 1\.9 GB available"):
        ensure_room(tmp_path, 3_000_000_000)


def test_it_stops_when_told(site: Site, client: httpx.Client, tmp_path: Path) -> None:
    stop = Event()
    remote = _remote(site)

    def advance(size: int) -> None:
        if size:
            stop.set()

    with pytest.raises(PullStopped):
        _fetch(client, remote, tmp_path / "f", advance=advance, stop=stop)

    assert not (tmp_path / "f").exists()


def test_a_file_of_this_machine_is_copied(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "源 a").write_bytes(DATA)
    remote = RemoteFile("it", (tmp_path / "源 a").as_uri(), len(DATA), sha256(DATA))

    _fetch(client, remote, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA

    gone = RemoteFile("it", (tmp_path / "gone").as_uri(), 1, sha256(b"x"))
    with pytest.raises(Missing, match="does not exist"):
        _fetch(client, gone, tmp_path / "g")
