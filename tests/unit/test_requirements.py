"""What setting up fetches: every file by its hash, and nothing to build it with that is not."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from kuaimei.voices.training.environment.requirements import RECIPE, packages

ROOT = Path(__file__).resolve().parents[2]
LISTS = sorted(
    Path(line)
    for line in subprocess.run(
        ["git", "ls-files", "--", "*requirements*.txt", "deploy/**/*.txt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
)
"""Every list of requirements in the repository, whatever it is for."""
BUILD = Path("requirements-build.txt")
HASH = re.compile(r"--hash=(\w+):([0-9a-f]+)")
SOURCES = {
    *("docopt", "jieba", "srt"),
    *("antlr4-python3-runtime", "encodec", "sox", "transformers-stream-generator"),  # engines in images
}
"""They come without wheels. Each was tried: setuptools alone builds it."""


def lines(file: Path) -> list[str]:
    """Of a list, each requirement in one; comments are left out."""
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def options(file: Path, name: str) -> set[str]:
    return {line.split()[1] for line in lines(file) if line.split()[0] == name}


def requirements(file: Path) -> Iterator[tuple[Requirement, list[tuple[str, str]]]]:
    for line in lines(file):
        if not line.startswith("-"):
            yield Requirement(line.partition(" --hash")[0]), HASH.findall(line)


def test_there_are_lists() -> None:
    assert {BUILD, Path("requirements.txt"), Path("requirements-dev.txt")} <= set(LISTS)
    assert Path("deploy/engines/worker.txt") in LISTS
    assert RECIPE.packages.relative_to(ROOT) in LISTS
    assert RECIPE.cuda.relative_to(ROOT) in LISTS


@pytest.mark.parametrize("file", LISTS, ids=str)
def test_every_file_has_an_exact_version_and_a_hash(file: Path) -> None:
    for requirement, hashes in requirements(file):
        assert [item.operator for item in requirement.specifier] == ["=="], requirement
        assert requirement.url is None, requirement
        assert hashes, requirement
        assert all(kind == "sha256" and len(digest) == 64 for kind, digest in hashes), requirement


@pytest.mark.parametrize("file", LISTS, ids=str)
def test_what_is_built_from_source_is_named_and_built_with_what_is_pinned(file: Path) -> None:
    if file == Path("requirements-clone.txt"):
        assert lines(file) == [f"-r {RECIPE.packages.relative_to(ROOT)}"]  # the same file, not a copy
        return
    assert options(file, "--only-binary") == {":all:"}
    built = options(file, "--no-binary")
    assert built <= SOURCES
    assert built <= {requirement.name for requirement, _ in requirements(file)}
    (builder,) = [requirement for requirement, _ in requirements(BUILD)]
    # From this version on it needs no other package to make a wheel.
    assert builder.name == "setuptools"
    assert Version(str(builder.specifier).removeprefix("==")) >= Version("70.1")


def test_setting_up_fetches_nothing_else() -> None:
    """Each call of pip in the Makefile and the images that fetches something."""
    calls = []
    for file in (ROOT / "Makefile", *sorted(ROOT.glob("deploy/engines/*/Dockerfile"))):
        text = file.read_text(encoding="utf-8").replace("\\\n", " ")
        calls += [(file, call) for call in re.findall(r"pip\)?[^&|;\n]* install [^&|;\n]*", text)]
    assert len(calls) > 8
    for file, call in calls:
        if "--no-index" in call:
            continue
        lists = re.findall(r"-r (\S+)", call)
        if brought := [name for name in lists if _is_brought(name)]:
            # The list of a repository that whoever builds the image brings: its pins are its own.
            assert file.parent.name in {"breezy", "cosyvoice", "melo"}, (file, call, brought)
            continue
        if " -e " in call and not lists:  # of such a repository, too, and without what it depends on
            assert "--no-deps" in call, (file, call)
            continue
        assert lists, (file, call)
        assert "--require-hashes" in call, (file, call)
        assert "--no-deps" in call, (file, call)
        assert "--no-build-isolation" in call or all(name.endswith(BUILD.name) for name in lists), (
            file,
            call,
        )


def _is_brought(name: str) -> bool:
    return re.match(r"/(melo|cosyvoice|tmp)/", name) is not None


def test_the_packages_to_learn_with_suit_this_machine() -> None:
    found = {package.name: package for package in packages(RECIPE.packages)}
    assert {"torch", "kokoro", "numpy", "soundfile"} <= found.keys()
    # Of torch: the builds of the public index, and those without CUDA.
    assert len(found["torch"].sha256) >= 18


@pytest.mark.parametrize("value", ["", "1"])
def test_slim_leaves_the_environment_for_learning_out(value: str) -> None:
    done = subprocess.run(
        ["make", "-s", "--eval", 'show:;@echo "[$$KUAIMEI_VOICES__ENVIRONMENT]"', "show", f"SLIM={value}"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ("[off]" if value else "[]")
