"""Resolves the setting of a role: a name in the catalogue, a path, or a URL."""

from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kuaimei.errors import WeightsError
from kuaimei.models.catalog import Entry, load_catalog
from kuaimei.models.model_store import ModelStore
from kuaimei.models.source import EngineSource, Role, without_secrets

if TYPE_CHECKING:
    from kuaimei.settings import Settings

__all__ = ["plan", "resolve", "roles"]

_BUILT_IN: dict[Role, dict[str, str]] = {
    "vad": {"silero": "MIT", "webrtc": "BSD-3-Clause"},
    "turn": {"none": ""},
    "captions": {"none": ""},
}
"""Engines that need no weights to be pulled, with their licences. Silero's come with faster-whisper."""

_REMOTE: frozenset[Role] = frozenset({"asr", "llm", "tts"})
"""Roles that the OpenAI API covers."""


def roles(settings: "Settings") -> dict[Role, str]:
    """Return the setting of each role."""
    return {
        "vad": settings.vad,
        "turn": settings.turn,
        "captions": settings.captions,
        "asr": settings.asr,
        "llm": settings.llm,
        "tts": settings.tts,
    }


def plan(settings: "Settings") -> list[Entry]:
    """Return the catalogue's models that the settings need, installed or not; paths and URLs need none."""
    entries = load_catalog().entries
    return [
        entries[value]
        for role, value in roles(settings).items()
        if value in entries and entries[value].role == role
    ]


def resolve(role: Role, value: str, weights_dir: Path) -> EngineSource:
    """Resolve ``value``, the setting of ``role``.

    The weights are checked (existence and size of all files), but not read: use ``kuaimei models verify``
    for that.

    Args:
        role: Role that the setting belongs to.
        value: Name in the catalogue, path, or base URL of a server with the OpenAI API.
        weights_dir: Folder of the pulled weights.

    Raises:
        WeightsError: If the value is invalid, or weights are missing; the message says what to do.
    """
    value = value.strip()
    if value.startswith(("http://", "https://")):
        return _remote_source(role, value)
    if value in _BUILT_IN.get(role, {}):
        return EngineSource(role, value, value, licence=_BUILT_IN[role][value])
    catalog = load_catalog()
    entry = catalog.entries.get(value)
    if entry is not None and entry.role == role:
        return _installed_source(entry, ModelStore(weights_dir))
    path = Path(value).expanduser()
    if value and path.exists():
        return _found(role, value, path.absolute())
    if value and entry_points(group=f"kuaimei.engines.{role}", name=value):
        return EngineSource(role, value, value)
    if "/" in value or "\\" in value or path.suffix in (".gguf", ".onnx"):
        raise WeightsError(f"{_setting(role)} is {value!r}, which does not exist")
    known = [*_BUILT_IN.get(role, {}), *(e.name for e in catalog.entries.values() if e.role == role)]
    others = ", a path or a URL" if role in _REMOTE else " or a path"
    raise WeightsError(f"{_setting(role)} is {value!r}; valid values: {', '.join(known)}{others}")


def _remote_source(role: Role, url: str) -> EngineSource:
    if role not in _REMOTE:
        raise WeightsError(f"{_setting(role)} cannot be a URL: this role runs on this machine only")
    if not urlsplit(url).hostname:
        raise WeightsError(f"{_setting(role)} is {without_secrets(url)!r}, which contains no host")
    return EngineSource(role, without_secrets(url), "openai", url=url)


def _installed_source(entry: Entry, shelf: ModelStore) -> EngineSource:
    problem = shelf.problem(entry)
    if problem:
        raise WeightsError(
            f"the weights of {entry.name} cannot be used ({problem}): run `kuaimei models pull {entry.name}`"
        )
    return EngineSource(
        entry.role, entry.name, entry.engine, path=shelf.folder(entry.name), licence=entry.licence
    )


def _found(role: Role, value: str, path: Path) -> EngineSource:
    engine, what, fits = _FORMS[role]
    if not fits(path):
        raise WeightsError(f"{_setting(role)} is {value!r}, which is not {what}")
    if role == "llm" and path.is_dir():
        path = next(iter(sorted(path.glob("*.gguf"))))
    return EngineSource(role, value, engine, path=path)


def _holds(path: Path, names: Iterable[str]) -> bool:
    return path.is_dir() and all(any(path.glob(name)) for name in names)


def _gguf(path: Path) -> bool:
    if path.is_dir():
        return len(list(path.glob("*.gguf"))) == 1
    with path.open("rb") as file:
        return file.read(4) == b"GGUF"


def _network(path: Path) -> bool:
    return (path / "model.onnx").is_file() if path.is_dir() else path.suffix == ".onnx"


_FORMS: dict[Role, tuple[str, str, Callable[[Path], bool]]] = {
    "vad": ("silero", "an .onnx file of Silero VAD", _network),
    "turn": ("smart-turn", "an .onnx file of Smart Turn, or a folder with model.onnx", _network),
    "captions": (
        "vosk",
        "a folder with a Vosk model in zh/ or en/",
        lambda p: _holds(p, ["zh/am/*.mdl"]) or _holds(p, ["en/am/*.mdl"]),
    ),
    "asr": (
        "whisper",
        "a folder with a Whisper model of CTranslate2 (model.bin, config.json, tokenizer.json, vocabulary)",
        lambda p: _holds(p, ["model.bin", "config.json", "tokenizer.json", "vocabulary.*"]),
    ),
    "llm": ("llama", "a .gguf file, or a folder with exactly one", _gguf),
    "tts": (
        "kokoro",
        "a folder with Kokoro (int8.onnx or fp32.onnx, tokenizer.json, voices/)",
        lambda p: _holds(p, ["*.onnx", "tokenizer.json", "voices/*.bin"]),
    ),
    "speaker": ("speaker", "an .onnx file of a speaker encoder, or a folder with model.onnx", _network),
}
"""For each role: the engine of a path, the required form of the path, and the check of it."""


def _setting(role: Role) -> str:
    return f"KUAIMEI_{role.upper()}"
