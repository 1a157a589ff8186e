"""All download sources: which ones are used, in which order, and the location of each piece."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import httpx

from kuaimei.models.archives import extract_members
from kuaimei.models.catalog import Catalog, Kind, SourceRef, SourceSpec, WeightFile
from kuaimei.models.download import RemoteFile, download
from kuaimei.models.errors import Unreachable
from kuaimei.models.hub import Hub
from kuaimei.models.npm import NpmRegistry, registry_of_lock_file
from kuaimei.models.pypi import PipSettings, PythonIndex, pip_settings

__all__ = ["SourceResolver", "open_client"]


def open_client(settings: PipSettings) -> httpx.Client:
    """Return an HTTP client that trusts the same certificates as pip."""
    return httpx.Client(timeout=httpx.Timeout(30.0, connect=10.0), verify=settings.verify())


class SourceResolver:
    """Resolves pieces of weights to downloadable files.

    Args:
        catalog: Catalogue of the weights.
        kinds: Kinds of source to use, in order; empty: all, in the catalogue's order.
        client: HTTP client; None: one configured like pip.
        hub, index, registry: The sources; None: as configured on this machine.
    """

    def __init__(
        self,
        catalog: Catalog,
        kinds: Sequence[Kind] = (),
        *,
        client: httpx.Client | None = None,
        hub: Hub | None = None,
        index: PythonIndex | None = None,
        registry: NpmRegistry | None = None,
    ) -> None:
        pip = pip_settings() if client is None or index is None else PipSettings()
        self._catalog = catalog
        self._kinds = tuple(kinds)
        self.client = client or open_client(pip)
        self._hub = hub or Hub(self.client)
        self._index = index or PythonIndex(self.client, pip)
        self._registry = registry or NpmRegistry(self.client, self._registry_in_lock_file)
        self.scratch: Path | None = None

    def usable(self, places: Sequence[SourceSpec]) -> list[SourceSpec]:
        """Return the usable sources, best first; the hub only if it answers.

        Raises:
            Unreachable: If none is left.
        """
        chosen = [place for place in places if not self._kinds or place.kind in self._kinds]
        if self._kinds:
            chosen.sort(key=lambda place: self._kinds.index(place.kind))
        reason = "the settings allow none of its sources"
        if any(place.kind == "hf" for place in chosen):
            try:
                self._hub.check()
            except Unreachable as error:
                chosen = [place for place in chosen if place.kind != "hf"]
                reason = str(error)
        if not chosen:
            raise Unreachable(reason)
        return chosen

    def locate(self, piece: SourceRef, file: WeightFile) -> RemoteFile:
        """Return the download of the plain file ``piece``, which is all of ``file``.

        Raises:
            Missing, Unreachable: If it cannot be found.
        """
        if piece.kind == "hf":
            return self._hub.locate(piece, file)
        path = Path(piece.member).expanduser()
        if not path.is_absolute():
            path = Path(str(files("kuaimei.models").joinpath(piece.member)))
        return RemoteFile(str(path), path.as_uri(), file.size, file.sha256)

    def locate_archive(self, piece: SourceRef) -> RemoteFile:
        """Return the download of the package that holds ``piece``.

        Raises:
            Missing, Unreachable: If it cannot be found.
        """
        archive = self._catalog.archives[piece.archive]
        source: PythonIndex | NpmRegistry = self._index if piece.kind == "pypi" else self._registry
        return source.locate(piece.name, piece.version, archive)

    def _registry_in_lock_file(self) -> str:
        piece = self._catalog.npm_registry_from
        if piece is None or self.scratch is None:
            raise Unreachable("no npm registry is configured: set npm_config_registry to its address")
        remote = self.locate_archive(piece)
        package = self.scratch / self._catalog.archives[piece.archive].file
        download(self.client, remote, package)
        text: list[bytes] = []
        collect: Callable[[bytes], None] = text.append
        extract_members(package, {piece.member: collect})
        package.unlink()
        return registry_of_lock_file(b"".join(text).decode())
