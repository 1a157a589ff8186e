"""Tiny wheels, and a recipe for an environment for learning that is made of them."""

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

from kuaimei.voices.training.environment.requirements import RECIPE, Recipe

__all__ = ["recipe", "requirement", "wheel", "write_packages"]


def wheel(name: str, version: str, content: bytes = b"", *, tag: str = "py3-none-any") -> tuple[str, bytes]:
    """A wheel with one module; its file's name and its bytes.

    Args:
        content: Of a file beside the module.
    """
    info = f"{name}-{version}.dist-info"
    members = {
        f"{name}/__init__.py": b"",
        f"{name}/data": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    members[f"{info}/RECORD"] = "".join(f"{member},,\n" for member in (*members, f"{info}/RECORD")).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member), data, zipfile.ZIP_DEFLATED)
    return f"{name}-{version}-{tag}.whl", buffer.getvalue()


def requirement(name: str, version: str, *files: bytes) -> str:
    """A line of a list: any of ``files`` may be taken."""
    hashes = " ".join(f"--hash=sha256:{hashlib.sha256(file).hexdigest()}" for file in files)
    return f"{name}=={version} {hashes}\n"


def recipe(folder: Path, *lines: str, cuda: str = "", trial: str = "pass", torch_index: str = "") -> Recipe:
    """One of the packages in ``lines``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text("--only-binary :all:\n" + "".join(lines))
    (folder / "cuda.txt").write_text("--only-binary :all:\n" + cuda)
    return replace(
        RECIPE,
        packages=folder / "requirements.txt",
        cuda=folder / "cuda.txt",
        torch_index=torch_index,
        trial=trial,
    )


def write_packages(folder: Path, *wheels: tuple[str, bytes]) -> Path:
    """A folder that pip finds them in (``PIP_FIND_LINKS``)."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in wheels:
        (folder / file).write_bytes(data)
    return folder
