"""Package lists of the training environment, each file by its hash."""

import hashlib
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeAlias

from packaging.requirements import Requirement

__all__ = ["RECIPE", "Build", "Package", "Recipe", "Wish", "build_for", "fingerprint", "packages"]

Build: TypeAlias = Literal["cpu", "cuda"]
Wish: TypeAlias = Literal["auto", "cpu", "cuda"]

_DRIVER: Final = Path("/proc/driver/nvidia/version")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_SHORT: Final = 12


@dataclass(frozen=True, slots=True)
class Recipe:
    """Packages of the environment, and how it is tested.

    Attributes:
        packages: Requirements with hashes, for every machine.
        cuda: Additional ones for the CUDA builds of torch.
        torch_index: Index of the builds of torch without CUDA, which the public index does not have for
            Linux; used only if pip is configured with no other index. Empty: none.
        trial: Python statement that fails unless the environment is complete.
    """

    packages: Path
    cuda: Path
    torch_index: str
    trial: str


RECIPE: Final = Recipe(
    packages=Path(__file__).with_name("requirements.txt"),
    cuda=Path(__file__).with_name("requirements-cuda.txt"),
    torch_index="https://download.pytorch.org/whl/cpu",
    trial="import kuaimei.training.runner",
)


@dataclass(frozen=True, slots=True)
class Package:
    """Package to install.

    Attributes:
        sha256: Hashes of all files that are accepted for it, in hexadecimal.
    """

    name: str
    version: str
    sha256: frozenset[str]


def build_for(wish: Wish) -> Build:
    """Return the build of torch that suits this machine: CUDA if there is an NVIDIA driver."""
    if wish != "auto":
        return wish
    return "cuda" if _DRIVER.is_file() or shutil.which("nvidia-smi") is not None else "cpu"


def packages(file: Path) -> list[Package]:
    """Return the packages in ``file`` that this interpreter on this machine needs.

    Raises:
        ValueError: If a line names no exact version, or no hash.
    """
    found = []
    for line in _lines(file.read_text(encoding="utf-8")):
        requirement = Requirement(line.partition(" --hash")[0])
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        exact = [item.version for item in requirement.specifier if item.operator == "=="]
        hashes = frozenset(_HASH.findall(line))
        if len(exact) != 1 or not hashes:
            raise ValueError(f"{file.name}: {requirement.name} has no exact version or no hash")
        found.append(Package(requirement.name, exact[0], hashes))
    return found


@cache
def fingerprint(recipe: Recipe, build: Build) -> str:
    """Return a hash of what the environment depends on: the lists, the interpreter, the build of torch."""
    here = f"{sys.implementation.name} {sys.version_info[:2]} {sys.platform} {platform.machine()} {build}"
    digest = hashlib.sha256(here.encode())
    for file in (recipe.packages, recipe.cuda):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:_SHORT]


def _lines(text: str) -> Iterator[str]:
    """Yield the requirements, one line each, without comments and options."""
    for line in text.replace("\\\n", " ").splitlines():
        stripped = " ".join(line.split())
        if stripped and not stripped.startswith(("#", "-")):
            yield stripped
