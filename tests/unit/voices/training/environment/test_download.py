"""Which files are taken, from where, on an index on loopback."""

import hashlib
import sys
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from kuaimei.errors import WeightsError
from kuaimei.models.errors import Missing, Unreachable, WrongHash
from kuaimei.models.pypi import PipSettings
from kuaimei.voices.training.environment.download import Fetcher, Wanted
from kuaimei.voices.training.environment.requirements import Build, Recipe
from tests.support.tiny_packages import recipe, requirement, wheel, write_packages
from tests.unit.models.serving import Handler, Site

ONE = wheel("one", "1.0")
SMALL = wheel("torch", "2.0+cpu", b"small")
LARGE = wheel("torch", "2.0", b"large")
LIBRARY = wheel("library", "3.0")
TORCH = requirement("torch", "2.0", SMALL[1], LARGE[1])

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one build of torch only")


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()
    handler = type("Handler", (Handler,), {"site": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        served.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def offer(site: Site, *files: tuple[str, bytes], index: str = "simple", hashed: bool = True) -> None:
    for file, data in files:
        name = file.partition("-")[0]
        mark = f"#sha256={hashlib.sha256(data).hexdigest()}" if hashed else ""
        link = f'<a href="/files/{file.replace("+", "%2B")}{mark}">{file}</a>'
        page = f"/{index}/{name}/"
        site.pages[page] = site.pages.get(page, b"<!DOCTYPE html>") + link.encode()
        site.pages[f"/files/{file.replace('+', '%2B')}"] = data


def fetched(
    site: Site,
    folder: Path,
    given: Recipe,
    *,
    build: Build = "cpu",
    public: bool = True,
    links: tuple[str, ...] = (),
) -> Wanted:
    """Plan and fetch; what was planned."""
    pip = PipSettings((f"{site.address}/simple",), find_links=links, public=public)
    with httpx.Client(timeout=10, trust_env=False) as client:
        fetcher = Fetcher(client, pip, folder, given, build)
        wanted = fetcher.plan()
        fetcher.fetch(wanted, lambda size: None)
        return wanted


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_everything_is_fetched_once_and_then_nobody_is_asked(site: Site, tmp_path: Path) -> None:
    offer(site, ONE, LIBRARY)
    given = recipe(tmp_path, requirement("one", "1.0", ONE[1]), requirement("library", "3.0", LIBRARY[1]))
    wanted = fetched(site, tmp_path / "into", given)
    assert wanted.size == len(ONE[1]) + len(LIBRARY[1])
    assert names(tmp_path / "into") == {ONE[0], LIBRARY[0]}
    site.asked.clear()
    assert fetched(site, tmp_path / "into", given).size == 0
    assert site.asked == []


def test_what_broke_off_goes_on_and_what_was_spoiled_comes_anew(site: Site, tmp_path: Path) -> None:
    offer(site, ONE, LIBRARY)
    given = recipe(tmp_path, requirement("one", "1.0", ONE[1]), requirement("library", "3.0", LIBRARY[1]))
    into = write_packages(tmp_path / "into", (ONE[0], b"spoiled"), (f"{LIBRARY[0]}.part", LIBRARY[1][:100]))
    fetched(site, into, given)
    assert (into / ONE[0]).read_bytes() == ONE[1]
    assert (into / LIBRARY[0]).read_bytes() == LIBRARY[1]
    assert ("GET", f"/files/{LIBRARY[0]}", "bytes=100-") in site.asked


def test_a_file_that_is_not_listed_is_passed_over(site: Site, tmp_path: Path) -> None:
    other = wheel("one", "1.0", b"somebody else's")
    offer(site, other)
    given = recipe(tmp_path, requirement("one", "1.0", ONE[1]))
    with pytest.raises(Missing, match="none of its files has a listed hash"):
        fetched(site, tmp_path / "into", given)
    links = write_packages(tmp_path / "links", ONE)
    fetched(site, tmp_path / "into", given, links=(str(links),))
    assert (tmp_path / "into" / ONE[0]).read_bytes() == ONE[1]


def test_an_index_without_hashes_is_not_believed(site: Site, tmp_path: Path) -> None:
    offer(site, (ONE[0], wheel("one", "1.0", b"somebody else's")[1]), hashed=False)
    given = recipe(tmp_path, requirement("one", "1.0", ONE[1], LIBRARY[1]))
    with pytest.raises(WrongHash):
        fetched(site, tmp_path / "into", given)
    assert not list((tmp_path / "into").glob("*.whl"))
    site.pages[f"/files/{ONE[0]}"] = ONE[1]
    fetched(site, tmp_path / "into", given)
    assert names(tmp_path / "into") == {ONE[0]}


def test_sources_are_never_taken(site: Site, tmp_path: Path) -> None:
    source = ("one-1.0.tar.gz", b"setup.py and what it likes")
    offer(site, source)
    with pytest.raises(Missing, match="not offered for this machine"):
        fetched(site, tmp_path / "into", recipe(tmp_path, requirement("one", "1.0", source[1])))


@linux
def test_without_a_graphics_card_the_small_build_comes_from_its_own_index(site: Site, tmp_path: Path) -> None:
    offer(site, LARGE)
    offer(site, SMALL, index="simple-cpu")
    given = recipe(tmp_path, TORCH, torch_index=f"{site.address}/simple-cpu")
    wanted = fetched(site, tmp_path / "into", given)
    assert names(tmp_path / "into") == {SMALL[0]}
    assert wanted.lists == (given.packages,)


@linux
def test_where_pip_has_an_index_of_its_own_no_other_is_asked(site: Site, tmp_path: Path) -> None:
    offer(site, LARGE, LIBRARY)
    offer(site, SMALL, index="simple-cpu")
    cuda = requirement("library", "3.0", LIBRARY[1])
    given = recipe(tmp_path, TORCH, cuda=cuda, torch_index=f"{site.address}/simple-cpu")
    wanted = fetched(site, tmp_path / "into", given, public=False)
    assert names(tmp_path / "into") == {LARGE[0], LIBRARY[0]}
    assert wanted.lists == (given.packages, given.cuda)
    assert not [path for path in site.paths() if path.startswith("/simple-cpu")]


@linux
def test_if_the_index_of_the_small_build_is_away_the_large_one_does(site: Site, tmp_path: Path) -> None:
    offer(site, LARGE, LIBRARY)
    given = recipe(
        tmp_path,
        TORCH,
        cuda=requirement("library", "3.0", LIBRARY[1]),
        torch_index="http://127.0.0.1:9/torch",
    )
    fetched(site, tmp_path / "into", given)
    assert names(tmp_path / "into") == {LARGE[0], LIBRARY[0]}


@linux
def test_with_a_graphics_card_the_small_build_is_not_taken(site: Site, tmp_path: Path) -> None:
    offer(site, SMALL, LARGE, LIBRARY)
    given = recipe(tmp_path, TORCH, cuda=requirement("library", "3.0", LIBRARY[1]))
    fetched(site, tmp_path / "into", given, build="cuda")
    assert names(tmp_path / "into") == {LARGE[0], LIBRARY[0]}


@pytest.mark.parametrize("code", [404, 503])
def test_an_index_that_fails_is_told(site: Site, tmp_path: Path, code: int) -> None:
    offer(site, ONE)
    site.codes[f"/files/{ONE[0]}"] = code
    kind: type[WeightsError] = Unreachable if code == 503 else Missing
    with pytest.raises(kind, match=f"one 1.0.*{code}"):
        fetched(site, tmp_path / "into", recipe(tmp_path, requirement("one", "1.0", ONE[1])))
