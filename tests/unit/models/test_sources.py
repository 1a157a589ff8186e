import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from kuaimei.models import npm, pypi
from kuaimei.models.catalog import Archive
from kuaimei.models.errors import Missing, Unreachable
from kuaimei.models.hub import Hub
from kuaimei.models.npm import NpmRegistry, registry_of_lock_file
from kuaimei.models.pypi import PythonIndex, pip_settings
from tests.unit.models.serving import Site

ARCHIVE = Archive(file="q-1.tgz", size=1, sha256="0" * 64)


def _pip_says(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    def run(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        assert command[1:] == ["-m", "pip", "config", "list"]
        return subprocess.CompletedProcess(command, 0, stdout="\n".join(lines))

    monkeypatch.setattr(subprocess, "run", run)


def test_pip_decides_which_index(monkeypatch: pytest.MonkeyPatch) -> None:
    _pip_says(
        monkeypatch,
        ":env:.index-url='http://mirror.test/simple'",
        "global.index-url='http://other.test/simple'",
        "global.extra-index-url='http://a.test/simple http://b.test/simple'",
        "global.find-links='/srv/wheels'",
        "download.trusted-host='a.test'",
    )
    found = pip_settings()

    assert found.indexes == ("http://mirror.test/simple", "http://a.test/simple", "http://b.test/simple")
    assert found.find_links == ("/srv/wheels",)
    assert found.trusted_hosts == ("a.test",)


def test_the_public_index_stays_beside_extra_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    _pip_says(monkeypatch, "global.extra-index-url='http://a.test/simple'")
    assert len(pip_settings().indexes) == 2

    _pip_says(monkeypatch)
    assert pip_settings().indexes == ()


def test_an_environment_without_pip_has_no_settings_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*args: Any, **more: Any) -> None:
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(subprocess, "run", run)
    assert pip_settings() == pypi.PipSettings()


def test_credentials_of_the_index_go_to_that_host_only(site: Site, client: httpx.Client) -> None:
    archive = Archive(**site.publish_wheel("w", "1", {"a": b"x"}))
    private = site.address.replace("http://", "http://me:secret@")
    index = PythonIndex(client, pypi.PipSettings(indexes=(f"{private}/simple",)))

    assert index.locate("w", "1", archive).headers == {"Authorization": "Basic bWU6c2VjcmV0"}
    assert index._authorization("http://elsewhere.test/x") == {}


def test_an_index_that_is_not_there_is_asked_once(client: httpx.Client) -> None:
    index = PythonIndex(client, pypi.PipSettings(indexes=("http://127.0.0.1:9/simple",)))
    with pytest.raises(Unreachable, match="the Python index cannot be reached"):
        index.locate("q", "1", ARCHIVE)
    finder = index._finder
    index._finder = None
    with pytest.raises(Unreachable, match="cannot be reached"):
        index.locate("q", "1", ARCHIVE)
    assert index._finder is None
    finder.session.close()


def test_the_npm_registry_is_found_as_npm_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, site: Site, client: httpx.Client
) -> None:
    archive = Archive(**site.publish_npm("q", "1", {"a": b"x"}))
    where = site.address.removeprefix("http:")
    rc = f"; a comment\nregistry = ${{PLACE}}/npm/\n{where}/npm/:_authToken=t0ken\n"
    (tmp_path / "npmrc").write_text(rc)
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PLACE", site.address)
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "npmrc"))
    monkeypatch.chdir(tmp_path)

    remote = NpmRegistry(client).locate("q", "1", archive)

    assert remote.url == f"{site.address}/npm/q/-/q-1.tgz"
    assert remote.headers == {"Authorization": "Bearer t0ken"}

    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{site.address}/elsewhere")
    assert "elsewhere" in NpmRegistry(client).locate("q", "1", archive).url


def test_a_stranger_s_npmrc_chooses_no_registry_and_sees_no_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, site: Site, client: httpx.Client
) -> None:
    """A file in the working directory is whoever's who can write there; npm itself would read it, too."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    own = tmp_path / "own"
    own.write_text(f"registry={site.address}/npm/\n")
    (tmp_path / ".npmrc").write_text("registry=http://127.0.0.1:9/evil/\n")
    tool = tmp_path / "npm"
    tool.write_text('#!/bin/sh\necho "http://npm.example$(pwd)"\n')
    tool.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(tool))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(own))
    assert NpmRegistry(client).locate("q", "1", ARCHIVE).url == f"{site.address}/npm/q/-/{ARCHIVE.file}"
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "none"))
    assert NpmRegistry(client)._find() == "http://npm.example/"


def test_without_any_npm_there_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, client: httpx.Client
) -> None:
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "none"))
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(npm, "_npmrc", lambda: iter(()))

    with pytest.raises(Unreachable, match="set npm_config_registry"):
        NpmRegistry(client).locate("q", "1", ARCHIVE)


def test_npm_answers_are_told_apart(site: Site, client: httpx.Client) -> None:
    registry = NpmRegistry(client, address=f"{site.address}/npm")
    # Some mirrors describe nothing but serve by convention.
    assert registry.locate("q", "1", ARCHIVE).url == f"{site.address}/npm/q/-/q-1.tgz"
    site.codes["/npm/q/1"] = 403
    with pytest.raises(Missing, match="403"):
        registry.locate("q", "1", ARCHIVE)
    site.codes["/npm/q/1"] = 502
    with pytest.raises(Unreachable, match="502"):
        registry.locate("q", "1", ARCHIVE)
    with pytest.raises(Unreachable, match="cannot be reached"):
        NpmRegistry(client, address="http://127.0.0.1:9").locate("q", "1", ARCHIVE)


def test_a_lock_file_names_its_registry() -> None:
    packages = {
        "": {"name": "root"},
        "node_modules/a/node_modules/@s/b": {"resolved": "http://r.test/npm/@s/b/-/b-1.0.0.tgz"},
    }
    assert registry_of_lock_file(json.dumps({"packages": packages})) == "http://r.test/npm"
    with pytest.raises(Missing):
        registry_of_lock_file("{}")


def test_an_absent_hub_is_noticed_and_remembered(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(client, "http://127.0.0.1:9")
    asked: list[float] = []
    head = client.head

    def counted(url: str, **more: Any) -> httpx.Response:
        asked.append(more["timeout"])
        return head(url, **more)

    monkeypatch.setattr(client, "head", counted)
    for _ in range(3):
        with pytest.raises(Unreachable, match="the model hub cannot be reached"):
            hub.check()
    assert asked == [3.0]
