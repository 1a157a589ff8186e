"""Catalogue of the available weights: sources, sha256, licence (``catalog.toml``)."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kuaimei.errors import SettingsError, WeightsError
from kuaimei.models.source import Role

__all__ = [
    "ALL_KINDS",
    "Archive",
    "Catalog",
    "Entry",
    "Kind",
    "SourceRef",
    "SourceSpec",
    "Variant",
    "WeightFile",
    "load_catalog",
    "source_order",
]

Kind: TypeAlias = Literal["file", "hf", "pypi", "npm"]
"""Kind of a source: this machine, the model hub, the Python index, the npm registry."""

ALL_KINDS: tuple[Kind, ...] = get_args(Kind)

_PIECE = {
    "hf": re.compile(r"(?P<name>[^/@]+/[^/@]+)(?:@(?P<version>[^/]+))?/(?P<member>.+)"),
    "pypi": re.compile(r"(?P<name>[^=]+)==(?P<version>[^:]+):(?P<member>.+)"),
    "npm": re.compile(r"(?P<name>@?[^@]+)@(?P<version>[^:]+):(?P<member>.+)"),
    "file": re.compile(r"(?P<member>.+)"),
}
_COUNT = re.compile(r"\{(\d+)\.\.(\d+)\}")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRef(_Frozen):
    """Reference to a file, or to a part of one, at a source.

    Attributes:
        kind: Kind of the source.
        name: Repository or package.
        version: Revision or version; empty: the hub's main branch.
        member: Path in the repository or package, or on this machine.
    """

    kind: Kind
    name: str = ""
    version: str = ""
    member: str

    @classmethod
    def parse(cls, text: str) -> "SourceRef":
        """Parse ``kind:…`` as in the catalogue; raise ValueError if it has another form."""
        kind, _, rest = text.partition(":")
        match = _PIECE[kind].fullmatch(rest) if kind in _PIECE else None
        if match is None:
            raise ValueError(f"{text!r} is not a source: see the top of catalog.toml")
        return cls(kind=kind, **{key: value for key, value in match.groupdict().items() if value})

    @property
    def archive(self) -> str:
        """Key of the package that holds it in the catalogue's table; empty for a plain file."""
        if self.kind == "pypi":
            return f"pypi:{self.name}=={self.version}"
        return f"npm:{self.name}@{self.version}" if self.kind == "npm" else ""


class SourceSpec(_Frozen):
    """One source of a file: its pieces, in the order in which they are joined."""

    text: str
    pieces: tuple[SourceRef, ...]

    @classmethod
    def parse(cls, text: str, path: str) -> "SourceSpec":
        """Parse a source as in the catalogue, for the file ``path``."""
        pieces = tuple(SourceRef.parse(one) for part in text.split(" + ") for one in _count(part.strip()))
        return cls(
            text=text.replace("{path}", path),
            pieces=tuple(p.model_copy(update={"member": p.member.replace("{path}", path)}) for p in pieces),
        )

    @property
    def kind(self) -> Kind:
        """Kind of the source."""
        return self.pieces[0].kind


class Archive(_Frozen):
    """Package as it is downloaded."""

    file: str
    size: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class WeightFile(_Frozen):
    """Installed file of a model.

    Attributes:
        path: Path in the model's folder, with forward slashes.
        size: In bytes.
        sha256: In hexadecimal.
        places: Sources of the file, in the catalogue's order.
        optional: True if the model works without it, with lower quality.
    """

    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    places: tuple[SourceSpec, ...]
    optional: bool = False

    @model_validator(mode="after")
    def _inside(self) -> "WeightFile":
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts or not self.places:
            raise ValueError(f"{self.path!r}: a path inside the folder and at least one source are required")
        return self


class Variant(_Frozen):
    """One way to obtain a model.

    Attributes:
        files: Files to download.
        convert: Conversion of the files into the engine's format; empty: none is needed.
    """

    files: tuple[WeightFile, ...]
    convert: Literal["", "speaker", "whisper"] = ""

    @property
    def size(self) -> int:
        """Total size of its files in bytes."""
        return sum(file.size for file in self.files)


class Entry(_Frozen):
    """Model that can be downloaded."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    role: Role
    engine: str
    summary: str
    licence: str
    languages: tuple[str, ...]
    memory_mb: int
    ways: tuple[Variant, ...] = Field(min_length=1)


class Catalog(_Frozen):
    """All models that can be downloaded, and the packages that contain them."""

    entries: dict[str, Entry]
    archives: dict[str, Archive]
    npm_registry_from: SourceRef | None = None

    @classmethod
    def parse(cls, document: dict[str, Any]) -> "Catalog":
        """Create the catalogue from the TOML document.

        Raises:
            WeightsError: If it is not a valid catalogue.
        """
        try:
            entries = [_entry(model) for model in document["model"]]
            hint = document.get("npm_registry_from")
            catalog = cls(
                entries={entry.name: entry for entry in entries},
                archives=document.get("archives", {}),
                npm_registry_from=SourceRef.parse(hint) if hint else None,
            )
        except (KeyError, TypeError, ValidationError, ValueError) as error:
            raise WeightsError(f"the catalogue of weights is not valid: {error}") from error
        for piece in catalog.pieces():
            if piece.archive and piece.archive not in catalog.archives:
                raise WeightsError(f"the catalogue of weights lacks the package {piece.archive}")
        return catalog

    def entry(self, name: str) -> Entry:
        """Return the model called ``name``.

        Raises:
            WeightsError: If there is none.
        """
        if name not in self.entries:
            known = ", ".join(self.entries)
            raise WeightsError(f"unknown model {name!r}; available: {known}")
        return self.entries[name]

    def pieces(self) -> Iterator[SourceRef]:
        """Yield every piece of every file."""
        for entry in self.entries.values():
            for way in entry.ways:
                for file in way.files:
                    for place in file.places:
                        yield from place.pieces


@cache
def load_catalog() -> Catalog:
    """Load the catalogue that comes with this package."""
    return Catalog.parse(tomllib.loads(files("kuaimei.models").joinpath("catalog.toml").read_text("utf-8")))


def source_order(wanted: str) -> tuple[Kind, ...]:
    """Parse a setting such as ``pypi,npm`` into kinds of source, in order; empty: the catalogue's order.

    Raises:
        SettingsError: If it names an unknown kind.
    """
    order: list[Kind] = []
    for word in filter(None, (part.strip() for part in wanted.split(","))):
        if word not in ALL_KINDS:
            raise SettingsError(f"unknown source of weights {word!r}; available: {', '.join(ALL_KINDS)}")
        order.append(word)
    return tuple(order)


def _entry(model: dict[str, Any]) -> Entry:
    fields = {key: value for key, value in model.items() if key != "way"}
    return Entry(**fields, ways=tuple(_way(way) for way in model["way"]))


def _way(way: dict[str, Any]) -> Variant:
    common = way.get("from", [])
    return Variant(convert=way.get("convert", ""), files=tuple(_file(file, common) for file in way["files"]))


def _file(file: dict[str, Any], common: Sequence[str]) -> WeightFile:
    fields = {key: value for key, value in file.items() if key != "from"}
    places = tuple(SourceSpec.parse(text, file["path"]) for text in file.get("from", common))
    return WeightFile(**fields, places=places)


def _count(text: str) -> Iterator[str]:
    """Expand ``a{1..3}`` to a1, a2, a3; several counters step together, ``{01..10}`` keeps its zeros."""
    counts = _COUNT.findall(text)
    if not counts:
        yield text
        return
    lengths = {int(last) - int(first) + 1 for first, last in counts}
    if len(lengths) != 1:
        raise ValueError(f"the counters in {text!r} have different lengths")
    for step in range(lengths.pop()):
        yield _COUNT.sub(lambda m: str(int(m[1]) + step).zfill(len(m[1])), text)  # noqa: B023 - used at once
