"""Locates packages in the npm registry; needs neither npm nor node."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from urllib.parse import quote

import httpx

from kuaimei.models.catalog import Archive
from kuaimei.models.download import RemoteFile
from kuaimei.models.errors import Missing, Unreachable
from kuaimei.system.processes import bare_environment

__all__ = ["NpmRegistry", "registry_of_lock_file"]


class NpmRegistry:
    """Client of the npm registry.

    The registry is taken from npm's environment variables, the ``.npmrc`` files of the system and of the
    user, npm itself if it is installed, and otherwise from ``fallback``. A ``.npmrc`` in the working
    directory is not trusted: its author could choose the registry and receive the user's token.

    Args:
        client: HTTP client.
        fallback: Returns the registry's address if nothing on this machine configures it.
        address: Address of the registry; empty: as described above.
    """

    def __init__(
        self, client: httpx.Client, fallback: Callable[[], str] | None = None, address: str = ""
    ) -> None:
        self._client = client
        self._fallback = fallback
        self._address = address.rstrip("/")
        self._settings: dict[str, str] = {}
        self._lock = Lock()

    def locate(self, name: str, version: str, archive: Archive) -> RemoteFile:
        """Return the download of ``archive`` of package ``name``.

        Raises:
            Missing: If the registry does not offer it.
            Unreachable: If it does not answer.
        """
        title = f"package {archive.file} of the npm registry"
        with self._lock:
            if not self._address:
                self._settings = dict(_npmrc())
                self._address = self._find().rstrip("/")
        about = f"{self._address}/{quote(name, safe='@')}/{version}"
        try:
            answer = self._client.get(
                about, headers=self._authorization(about), timeout=15, follow_redirects=True
            )
        except httpx.TransportError as error:
            raise Unreachable(
                f"the npm registry cannot be reached: {error or type(error).__name__}"
            ) from error
        if answer.status_code >= 500:
            raise Unreachable(f"{title} cannot be reached: HTTP {answer.status_code}")
        url = f"{self._address}/{name}/-/{archive.file}"
        if answer.status_code == 200:
            url = str(answer.json().get("dist", {}).get("tarball", url))
        elif answer.status_code not in (404, 405):  # some mirrors serve packages but no metadata
            raise Missing(f"{title} is not offered (HTTP {answer.status_code})")
        return RemoteFile(title, url, archive.size, archive.sha256, self._authorization(url))

    def _find(self) -> str:
        if _environment("registry"):
            return _environment("registry")
        if self._settings.get("registry"):
            return self._settings["registry"]
        npm = shutil.which("npm")
        if npm:
            command = [npm, "config", "get", "registry"]
            configured = (name for name in os.environ if name.lower().startswith("npm_config_"))
            environment = bare_environment("HOME", "PATH", *configured)
            try:
                # In the root, because npm, too, reads the file in its working directory.
                done = subprocess.run(  # noqa: S603
                    command, env=environment, cwd="/", capture_output=True, text=True, timeout=20, check=True
                )
            except (OSError, subprocess.SubprocessError):
                pass
            else:
                if done.stdout.startswith("http"):
                    return done.stdout.strip()
        if self._fallback:
            return self._fallback()
        raise Unreachable("no npm registry is configured: set npm_config_registry to its address")

    def _authorization(self, url: str) -> dict[str, str]:
        place = url.partition(":")[2]
        for key, value in self._settings.items():
            address, _, what = key.rpartition(":")
            if address.startswith("//") and place.startswith(address) and what == "_authToken":
                return {"Authorization": f"Bearer {value}"}
        return {}


def registry_of_lock_file(text: str) -> str:
    """Return the registry from which the packages of a ``package-lock.json`` came.

    Raises:
        Missing: If the file does not contain it.
    """
    for name, package in json.loads(text).get("packages", {}).items():
        plain = name.rpartition("node_modules/")[2]
        address, found, _ = str(package.get("resolved", "")).partition(f"/{plain}/-/")
        if found and address.startswith("http"):
            return address
    raise Missing("the lock file contains no npm registry")


def _environment(setting: str) -> str:
    """Return a variable of npm's, whose name may be in lower or upper case."""
    name = f"npm_config_{setting}"
    return os.environ.get(name) or os.environ.get(name.upper(), "")


def _npmrc() -> Iterator[tuple[str, str]]:
    """Yield the settings of the ``.npmrc`` files, those with the highest precedence last."""
    user = _environment("userconfig")
    for path in (Path("/etc/npmrc"), Path(user) if user else Path.home() / ".npmrc"):
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for line in lines:
            key, found, value = line.partition("=")
            if found and not line.lstrip().startswith((";", "#")):
                expanded = re.sub(r"\$\{(\w+)\}", lambda m: os.environ.get(m[1], ""), value.strip())
                yield key.strip(), expanded.strip("\"'")
