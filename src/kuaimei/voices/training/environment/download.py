"""Download of the training environment's packages: chosen by hash, resumable."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from kuaimei.models.download import RemoteFile, download, file_sha256
from kuaimei.models.errors import Missing, Unreachable
from kuaimei.models.pypi import Offer, PipSettings, PythonIndex
from kuaimei.voices.training.environment.requirements import Build, Package, Recipe, packages

__all__ = ["Fetcher", "Wanted"]

_log = logging.getLogger(__name__)

_TORCH: Final = "torch"
_WITHOUT_CUDA: Final = "+cpu"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Packages to install on this machine.

    Attributes:
        lists: Requirements files to install from.
        missing: Files still to be downloaded, by file name.
    """

    lists: tuple[Path, ...]
    missing: dict[str, RemoteFile]

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(remote.size for remote in self.missing.values())


@dataclass
class Fetcher:
    """Finds packages where pip would look for them, and downloads them into a folder.

    Attributes:
        client: HTTP client.
        pip: Settings of pip.
        folder: Target folder; files that are there with the right hash are not downloaded again.
    """

    client: httpx.Client
    pip: PipSettings
    folder: Path
    recipe: Recipe
    build: Build
    _index: PythonIndex = field(init=False)

    def __post_init__(self) -> None:
        self._index = PythonIndex(self.client, self.pip, compatible=True)

    def plan(self) -> Wanted:
        """Locate every package that is not in the folder yet; without missing ones, no request is sent.

        Raises:
            WeightsError: If a package is not available, saying why.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        here = {file_sha256(path): path.name for path in sorted(self.folder.glob("*.whl"))}
        missing: dict[str, RemoteFile] = {}
        lists = [self.recipe.packages]
        with_cuda = False
        for package in packages(self.recipe.packages):
            file = next((here[digest] for digest in sorted(package.sha256) if digest in here), None)
            if file is None:
                remote = self._locate(package)
                file = _name(remote)
                missing[file] = remote
            if package.name == _TORCH:
                with_cuda = sys.platform == "linux" and _WITHOUT_CUDA not in file.replace("%2B", "+")
        if with_cuda:
            lists.append(self.recipe.cuda)
            for package in packages(self.recipe.cuda):
                if not package.sha256 & here.keys():
                    remote = self._locate(package)
                    missing[_name(remote)] = remote
        return Wanted(tuple(lists), missing)

    def fetch(self, wanted: Wanted, advance: Callable[[int], None]) -> None:
        """Download the missing files.

        Args:
            wanted: Result of `plan`.
            advance: Called with the number of bytes received; negative if some have to be downloaded again.

        Raises:
            WeightsError: If a file is not available, saying why.
        """
        for file, remote in wanted.missing.items():
            download(self.client, remote, self.folder / file, advance=advance)

    def _locate(self, package: Package) -> RemoteFile:
        if package.name == _TORCH and self.build == "cpu" and sys.platform == "linux":
            return self._locate_torch(package)
        return self._remote(package, self._index.offers(package.name, package.version))

    def _locate_torch(self, package: Package) -> RemoteFile:
        """Locate the build without CUDA, a tenth of the size of the one with CUDA; fall back to that one."""
        offers = self._index.offers(package.name, package.version)
        small = [offer for offer in offers if offer.version.endswith(_WITHOUT_CUDA)]
        if not small and self.pip.public and self.recipe.torch_index:
            settings = PipSettings((self.recipe.torch_index,), cert=self.pip.cert)
            try:
                small = PythonIndex(self.client, settings, compatible=True).offers(
                    package.name, package.version
                )
            except Unreachable as error:
                _log.warning("torch without CUDA is not available, using the build with CUDA: %s", error)
        try:
            return self._remote(package, small)
        except Missing:
            return self._remote(package, offers)

    def _remote(self, package: Package, offers: Sequence[Offer]) -> RemoteFile:
        """Return the first of ``offers`` whose hash is listed."""
        title = f"the package {package.name} {package.version}"
        for offer in offers:
            sha256 = offer.sha256
            if not sha256 and offer.url.startswith("file:"):
                sha256 = file_sha256(Path(httpx.URL(offer.url).path))
            if sha256 and sha256 not in package.sha256:
                continue
            if self.build == "cuda" and package.name == _TORCH and offer.version.endswith(_WITHOUT_CUDA):
                continue
            one, *others = (sha256,) if sha256 else sorted(package.sha256)
            size = self._size(title, offer)
            return RemoteFile(title, offer.url, size, one, offer.headers, frozenset(others))
        if offers:
            raise Missing(f"{title} is offered, but none of its files has a listed hash")
        raise Missing(f"{title} is not offered for this machine by pip's index")

    def _size(self, title: str, offer: Offer) -> int:
        if offer.url.startswith("file:"):
            return Path(httpx.URL(offer.url).path).stat().st_size
        headers = {**offer.headers, "Accept-Encoding": "identity"}
        try:
            answer = self.client.head(offer.url, headers=headers, follow_redirects=True)
        except httpx.TransportError as error:
            raise Unreachable(f"{title} cannot be reached: {error or type(error).__name__}") from error
        if answer.status_code >= 500:
            raise Unreachable(f"{title} cannot be reached: HTTP {answer.status_code}")
        size = answer.headers.get("content-length", "")
        if answer.status_code != 200 or not size.isdigit():
            raise Missing(f"{title} cannot be downloaded: HTTP {answer.status_code}")
        return int(size)


def _name(remote: RemoteFile) -> str:
    """Return the file name in the URL, by which pip recognizes the wheel."""
    return Path(httpx.URL(remote.url).path).name
