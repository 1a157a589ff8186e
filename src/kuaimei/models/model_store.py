"""The folder of the weights: what stands there, whole or not, and how something new is put there."""

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
    """A file as it was put in place."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    size: int
    sha256: str
    source: str


class Manifest(BaseModel):
    """What a model's folder holds, in ``manifest.json`` beside the files.

    Attributes:
        way: Digest of the way it came, so that a changed catalogue is noticed.
        converted: What made the files; empty: they are as they came.
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
        """Of a model."""
        return self.root / name

    def staging(self, name: str = "") -> Path:
        """Where a model is put together before it takes its place, on the same disk."""
        return self.root / _STAGING / name if name else self.root / _STAGING

    def manifest(self, name: str) -> Manifest | None:
        """Of a model that was pulled; None if there is none or it cannot be read."""
        try:
            return Manifest.model_validate_json((self.folder(name) / _MANIFEST).read_bytes())
        except (OSError, ValidationError):
            return None

    def problem(self, entry: Entry) -> str:
        """Why a model cannot be used, in a few words; empty if it can. Looks at sizes, not at contents."""
        folder = self.folder(entry.name)
        if not folder.is_dir():
            return "not installed"
        manifest = self.manifest(entry.name)
        if manifest is None:  # copied by hand, perhaps; without a conversion sizes tell enough
            sizes = [{f.path: f.size for f in way.files if not f.optional} for way in entry.ways]
            plain = [s for way, s in zip(entry.ways, sizes, strict=True) if not way.convert]
            return min((_differs(folder, s) for s in plain), key=len, default="has no manifest")
        if manifest.way not in {way_digest(way) for way in entry.ways}:
            return "is of an older catalogue"
        return _differs(folder, {path: kept.size for path, kept in manifest.files.items()})

    def missing_optional(self, entry: Entry) -> list[str]:
        """Optional files that a usable model does without."""
        manifest = self.manifest(entry.name)
        if manifest is not None and manifest.converted:
            return []
        return [
            file.path
            for file in entry.ways[0].files
            if file.optional and not (self.folder(entry.name) / file.path).is_file()
        ]

    def verify(self, entry: Entry, advance: Callable[[int], None] = lambda _: None) -> list[str]:
        """Hash everything; one line for each file that is not as it should be."""
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
        """Of a model's folder, in bytes."""
        return sum(path.stat().st_size for path in self.folder(name).rglob("*") if path.is_file())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep others from fetching into this folder.

        Raises:
            Busy: If somebody already is.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy(
                    f"weights are already being fetched into {self.root}: wait until that is done"
                ) from error
            yield

    def install(self, entry: Entry, way: Variant, made: Path, sources: dict[str, str]) -> None:
        """Put the finished folder ``made`` where the model belongs, in one step.

        Args:
            entry: The model.
            way: How it came.
            made: A folder in `staging`; it is gone afterwards.
            sources: Source of each file that did not come out of a conversion.
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
        """Take away what putting together left behind, if nothing is half-way."""
        with suppress(OSError):  # not empty: somebody will go on from there
            self.staging().rmdir()


def way_digest(way: Variant) -> str:
    """Tells apart the ways of a model, and a way from what it becomes in a later catalogue."""
    text = "\n".join(f"{file.path} {file.sha256}" for file in way.files)
    return hashlib.sha256(f"{way.convert}\n{text}".encode()).hexdigest()[:16]


def _differs(folder: Path, sizes: dict[str, int]) -> str:
    for path, size in sizes.items():
        try:
            found = (folder / path).stat().st_size
        except OSError:
            return f"lacks {path}"
        if found != size:
            return f"has {path} of {found} bytes instead of {size}"
    return ""
