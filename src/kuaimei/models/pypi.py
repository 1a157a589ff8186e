"""Where the Python index keeps a package, asked as pip would: its configuration decides which index."""

import ast
import base64
import logging
import os
import ssl
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import httpx

from kuaimei.models.catalog import Archive
from kuaimei.models.download import RemoteFile
from kuaimei.models.errors import Missing, Unreachable
from kuaimei.system.processes import bare_environment

__all__ = ["Offer", "PipSettings", "PythonIndex", "pip_settings"]


_YES = {"1", "true", "yes", "on", "y", "t"}
"""How pip's configuration says that something is switched on."""


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What pip is told about its indexes; all empty: the public one.

    Attributes:
        indexes: Index URLs, the main one first.
        no_index: No index is asked, only what `find_links` names.
        public: Nothing says that another index takes the place of the public one.
        cert: Path of a bundle of certificates; empty: the system's.
    """

    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    cert: str = ""
    no_index: bool = False
    public: bool = True

    def verify(self) -> ssl.SSLContext | bool:
        """For an HTTP client."""
        return ssl.create_default_context(cafile=self.cert) if self.cert else True


@dataclass(frozen=True, slots=True)
class Offer:
    """A file that an index offers.

    Attributes:
        sha256: As the index says; empty: it does not say.
        version: Of the package, with the mark of a local build (``2.13.0+cpu``).
        headers: To send along when it is fetched (authorisation).
    """

    file: str
    url: str
    sha256: str
    version: str
    headers: Mapping[str, str]


def pip_settings() -> PipSettings:
    """Pip's own configuration: files and environment, as pip itself reports them."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    configured = (name for name in os.environ if name.startswith(("PIP_", "XDG_CONFIG_")))
    environment = bare_environment("HOME", *configured)
    try:
        done = subprocess.run(  # noqa: S603
            command, env=environment, capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return PipSettings()  # an environment without pip has no configuration of it either
    values: dict[str, str] = {}
    sections = ("global", "download", ":env:")  # the later ones win
    found = [line.partition("=") for line in done.stdout.splitlines() if "=" in line]
    for section in sections:
        for key, _, literal in found:
            if key.startswith(f"{section}."):
                values[key.removeprefix(f"{section}.")] = str(ast.literal_eval(literal))
    main = values.get("index-url", "").split()
    extra = values.get("extra-index-url", "").split()
    no_index = values.get("no-index", "").lower() in _YES
    return PipSettings(
        indexes=() if no_index else (*(main or _public_index(extra)), *extra),
        find_links=tuple(values.get("find-links", "").split()),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        cert=values.get("cert", ""),
        no_index=no_index,
        public=not main and not no_index,
    )


class PythonIndex:
    """Finds packages of the Python index.

    Args:
        client: For HTTP.
        settings: Of pip; None: as configured on this machine.
        compatible: Only wheels that this interpreter can use; else any file, which is data then.
    """

    def __init__(
        self, client: httpx.Client, settings: PipSettings | None = None, *, compatible: bool = False
    ) -> None:
        self._client = client
        self._settings = settings
        self._compatible = compatible
        self._finder: Any = None
        self._problem = ""  # an index that nothing can be heard of is not asked again in this run
        self._lock = Lock()

    def locate(self, name: str, version: str, archive: Archive) -> RemoteFile:
        """Where ``archive`` of ``name`` can be downloaded.

        Raises:
            Missing: If no index offers it.
            Unreachable: If none answers.
        """
        title = f"package {archive.file} of the Python index"
        with self._lock:
            packages = self._find(f"{name}=={version}")
        for package in packages:
            link = package.link
            if link.filename == archive.file:
                url = link.normalized.partition("#")[0]
                return RemoteFile(title, url, archive.size, archive.sha256, self._authorization(url))
        self._describe_failure(name, title)
        raise Missing(f"{title} is not offered by the index")

    def offers(self, name: str, version: str) -> list[Offer]:
        """All files of ``name`` in that version, the most suitable first.

        Raises:
            Unreachable: If an index that has none does not answer, or none does.
        """
        with self._lock:
            packages = list(self._find(f"{name}=={version}"))
        if not packages:
            self._describe_failure(name, f"package {name} {version} of the Python index")
        found = []
        for package in packages:
            link = package.link
            url = link.normalized.partition("#")[0]
            sha256 = "".join((link.hash_option or {}).get("sha256", ()))
            headers = self._authorization(url)
            found.append(Offer(link.filename, url, sha256, str(package.version), headers))
        return found

    def _find(self, requirement: str) -> Any:
        from httpx2 import HTTPError

        if not self._problem:
            try:
                return self._open().find_matches(requirement, allow_prereleases=True)
            except HTTPError as error:
                self._problem = str(error) or type(error).__name__
        raise Unreachable(f"the Python index cannot be reached: {self._problem}")

    def _open(self) -> Any:
        if self._finder is None:
            from unearth import PackageFinder
            from unearth.fetchers.sync import PyPIClient

            # It tells of every index that lacks a package; whether that matters is said by `locate`.
            logging.getLogger("unearth").addHandler(logging.NullHandler())
            settings = self._settings = self._settings or pip_settings()
            if settings.no_index and not settings.find_links:  # the finder would ask the public index then
                raise Unreachable(
                    "pip is told to ask no index (no-index) and given no folder instead: set PIP_FIND_LINKS"
                )
            session: Any = PyPIClient(trusted_hosts=settings.trusted_hosts, verify=settings.verify())
            self._finder = PackageFinder(
                session,
                index_urls=settings.indexes,
                find_links=settings.find_links,
                ignore_compatibility=not self._compatible,
                only_binary=(":all:",) if self._compatible else (),
            )
        return self._finder

    def _describe_failure(self, name: str, title: str) -> None:
        """The finder passes over indexes that answer with an error: see whether that was the reason."""
        for source in self._finder.sources:
            url = source["url"]
            if source["type"] != "index" or not url.startswith("http"):
                continue
            try:
                answer = self._client.get(f"{url.rstrip('/')}/{name}/", timeout=10, follow_redirects=True)
            except httpx.TransportError as error:
                raise Unreachable(f"{title} cannot be reached: {error or type(error).__name__}") from error
            if answer.status_code >= 500:
                raise Unreachable(f"{title} cannot be reached: it answers {answer.status_code}")

    def _authorization(self, url: str) -> dict[str, str]:
        host = httpx.URL(url).host
        for index in self._settings.indexes if self._settings else ():
            parts = httpx.URL(index)
            if parts.userinfo and parts.host == host:
                plain = f"{parts.username}:{parts.password}".encode()
                return {"Authorization": f"Basic {base64.b64encode(plain).decode()}"}
        return {}


def _public_index(extra: list[str]) -> tuple[str, ...]:
    """The finder falls back on the public index only if it is given no other: name it then, from pip."""
    if not extra:
        return ()
    from pip._internal.models.index import PyPI

    return (PyPI.simple_url,)
