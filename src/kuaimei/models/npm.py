"""Where the npm registry keeps a package; neither npm nor node is needed."""

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
    """Finds packages of the npm registry.

    Which registry: npm's environment variables, the ``.npmrc`` files of the system and of the user, npm
    itself if it is installed, and otherwise ``fallback``. One in the working directory is not trusted:
    whoever put it there would choose the registry, and whose token is shown to it.

    Args:
        client: For HTTP.
        fallback: Gives the registry's address where nothing on this machine does.
        address: Of the registry; empty: as said above.
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
        """Where ``archive`` of ``name`` can be downloaded.

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
            raise Unreachable(f"{title} cannot be reached: it answers {answer.status_code}")
        url = f"{self._address}/{name}/-/{archive.file}"
        if answer.status_code == 200:
            url = str(answer.json().get("dist", {}).get("tarball", url))
        elif answer.status_code not in (404, 405):  # some mirrors serve packages but no description of one
            raise Missing(f"{title} is not offered (it answers {answer.status_code})")
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
                # From the root: npm, too, reads the file in the folder in which it is started.
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
        raise Unreachable("no npm registry is known here: set npm_config_registry to its address")

    def _authorization(self, url: str) -> dict[str, str]:
        place = url.partition(":")[2]
        for key, value in self._settings.items():
            address, _, what = key.rpartition(":")
            if address.startswith("//") and place.startswith(address) and what == "_authToken":
                return {"Authorization": f"Bearer {value}"}
        return {}


def registry_of_lock_file(text: str) -> str:
    """The registry that the packages of a ``package-lock.json`` came from.

    Raises:
        Missing: If the file does not say.
    """
    for name, package in json.loads(text).get("packages", {}).items():
        plain = name.rpartition("node_modules/")[2]
        address, found, _ = str(package.get("resolved", "")).partition(f"/{plain}/-/")
        if found and address.startswith("http"):
            return address
    raise Missing("the lock file names no npm registry")


def _environment(setting: str) -> str:
    """A variable of npm's, which may be written in either case."""
    name = f"npm_config_{setting}"
    return os.environ.get(name) or os.environ.get(name.upper(), "")


def _npmrc() -> Iterator[tuple[str, str]]:
    """Settings of the ``.npmrc`` files, the nearest last."""
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
