"""Folder of the weights: checks what is installed and installs new models atomically."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from kuaimei.models.catalog import Entry, Variant
from kuaimei.models.download import file_sha256, fsync_folder
from kuaimei.models.errors import Busy

__all__ = ["InstalledFile", "Manifest", "ModelStore", "way_digest"]

_MANIFEST = "manifest.json"
_STAGING = ".staging"


class InstalledFile(BaseModel):
    """File of a model as it was installed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    size: int
    sha256: str
    source: str


class Manifest(BaseModel):
    """Contents of a model's folder, in ``manifest.json`` beside the files.

    Attributes:
        way: Digest of the variant that was installed, so that a changed catalogue is noticed.
        converted: Conversion that made the files; empty: they are as downloaded.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    licence: str
    way: str
    converted: str = ""
    files: dict[str, InstalledFile]


class ModelStore:
    """The weights on this machine.

    Args:
        root: `Settings.weights_dir`; an air-gapped site copies this one folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, name: str) -> Path:
        """Return the directory that holds the files of model ``name``."""
        return self.root / name

    def staging(self, name: str = "") -> Path:
        """Return the folder in which a model is assembled before it is installed, on the same disk."""
        return self.root / _STAGING / name if name else self.root / _STAGING

    def manifest(self, name: str) -> Manifest | None:
        """Return the manifest of an installed model; None if there is none or it cannot be read."""
        try:
            return Manifest.model_validate_json((self.folder(name) / _MANIFEST).read_bytes())
        except (OSError, ValidationError):
            return None

    def problem(self, entry: Entry) -> str:
        """Return briefly why a model is unusable; empty if it is usable. Checks sizes, not contents."""
        folder = self.folder(entry.name)
        if not folder.is_dir():
            return "not installed"
        manifest = self.manifest(entry.name)
        if manifest is None:  # possibly copied by hand; without a conversion the sizes suffice
            sizes = [{f.path: f.size for f in way.files if not f.optional} for way in entry.ways]
            plain = [s for way, s in zip(entry.ways, sizes, strict=True) if not way.convert]
            return min((_differs(folder, s) for s in plain), key=len, default="has no manifest")
        if manifest.way not in {way_digest(way) for way in entry.ways}:
            return "was installed from an older catalogue"
        return _differs(folder, {path: kept.size for path, kept in manifest.files.items()})

    def missing_optional(self, entry: Entry) -> list[str]:
        """Return the optional files that a usable model lacks."""
        manifest = self.manifest(entry.name)
        if manifest is not None and manifest.converted:
            return []
        return [
            file.path
            for file in entry.ways[0].files
            if file.optional and not (self.folder(entry.name) / file.path).is_file()
        ]

    def verify(self, entry: Entry, advance: Callable[[int], None] = lambda _: None) -> list[str]:
        """Hash all files; return one line for each one that is wrong."""
        folder = self.folder(entry.name)
        problem = self.problem(entry)
        if problem:
            return [problem]
        manifest = self.manifest(entry.name)
        if manifest:
            expected = {path: kept.sha256 for path, kept in manifest.files.items()}
        else:
            expected = {f.path: f.sha256 for f in entry.ways[0].files if (folder / f.path).is_file()}
        return [
            f"{path} is damaged"
            for path, sha256 in expected.items()
            if file_sha256(folder / path, advance) != sha256
        ]

    def size(self, name: str) -> int:
        """Return the size of a model's folder in bytes."""
        return sum(path.stat().st_size for path in self.folder(name).rglob("*") if path.is_file())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock that keeps other processes from downloading into this folder.

        Raises:
            Busy: If another process holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy(
                    f"another process is downloading weights into {self.root}: wait until it has finished"
                ) from error
            yield

    def install(self, entry: Entry, way: Variant, made: Path, sources: dict[str, str]) -> None:
        """Move the finished folder ``made`` to the model's place in one step.

        Args:
            entry: The model.
            way: The variant that was downloaded.
            made: A folder in `staging`; it no longer exists afterwards.
            sources: Source of each file that was not made by a conversion.
        """
        files = {
            path.relative_to(made).as_posix(): InstalledFile(
                size=path.stat().st_size,
                sha256=file_sha256(path),
                source=sources.get(path.relative_to(made).as_posix(), f"convert:{way.convert}"),
            )
            for path in sorted(made.rglob("*"))
            if path.is_file() and path.name != _MANIFEST
        }
        manifest = Manifest(
            name=entry.name,
            licence=entry.licence,
            way=way_digest(way),
            converted=way.convert,
            files=files,
        )
        with (made / _MANIFEST).open("w", encoding="utf-8") as out:
            out.write(manifest.model_dump_json(indent=1))
            out.flush()
            os.fsync(out.fileno())
        fsync_folder(made)
        target = self.folder(entry.name)
        old = self.staging(f"{entry.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        made.rename(target)
        fsync_folder(self.root)
        shutil.rmtree(old, ignore_errors=True)

    def remove_empty_staging(self) -> None:
        """Remove the staging folder if it is empty."""
        with suppress(OSError):  # not empty: a later pull resumes from it
            self.staging().rmdir()


def way_digest(way: Variant) -> str:
    """Return a digest that identifies a variant, also across versions of the catalogue."""
    text = "\n".join(f"{file.path} {file.sha256}" for file in way.files)
    return hashlib.sha256(f"{way.convert}\n{text}".encode()).hexdigest()[:16]


def _differs(folder: Path, sizes: dict[str, int]) -> str:
    for path, size in sizes.items():
        try:
            found = (folder / path).stat().st_size
        except OSError:
            return f"{path} is missing"
        if found != size:
            return f"{path} has {found} bytes instead of {size}"
    return ""
