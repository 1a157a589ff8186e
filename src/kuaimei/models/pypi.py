"""Locates packages in the Python index that pip's configuration selects."""

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
"""Values that mean "on" in pip's configuration."""


@dataclass(frozen=True, slots=True)
class PipSettings:
    """Pip's configuration of indexes; all empty: the public index.

    Attributes:
        indexes: Index URLs, the main one first.
        find_links: Folders and pages that are searched besides the indexes.
        trusted_hosts: Hosts whose certificates are not checked.
        cert: Path of a bundle of certificates; empty: the system's.
        no_index: True if only `find_links` is used, and no index.
        public: True if no other index replaces the public one.
    """

    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    cert: str = ""
    no_index: bool = False
    public: bool = True

    def verify(self) -> ssl.SSLContext | bool:
        """Return the ``verify`` argument of an HTTP client."""
        return ssl.create_default_context(cafile=self.cert) if self.cert else True


@dataclass(frozen=True, slots=True)
class Offer:
    """File that an index offers.

    Attributes:
        sha256: As stated by the index; empty if it does not.
        version: Version of the package, including a local build's label (``2.13.0+cpu``).
        headers: Request headers for the download (authorization).
    """

    file: str
    url: str
    sha256: str
    version: str
    headers: Mapping[str, str]


def pip_settings() -> PipSettings:
    """Return pip's own configuration: files and environment, as pip itself reports them."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    configured = (name for name in os.environ if name.startswith(("PIP_", "XDG_CONFIG_")))
    environment = bare_environment("HOME", *configured)
    try:
        done = subprocess.run(  # noqa: S603
            command, env=environment, capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return PipSettings()  # an environment without pip has no configuration of it
    values: dict[str, str] = {}
    sections = ("global", "download", ":env:")  # later ones take precedence
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
    """Client of the Python index.

    Args:
        client: HTTP client.
        settings: Pip's settings; None: as configured on this machine.
        compatible: Find only wheels that this interpreter can use; else any file, which is treated as data.
    """

    def __init__(
        self, client: httpx.Client, settings: PipSettings | None = None, *, compatible: bool = False
    ) -> None:
        self._client = client
        self._settings = settings
        self._compatible = compatible
        self._finder: Any = None
        self._problem = ""  # an unreachable index is not asked again in this run
        self._lock = Lock()

    def locate(self, name: str, version: str, archive: Archive) -> RemoteFile:
        """Return the download of ``archive`` of package ``name``.

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
        """Return all files of ``name`` in that version, the most suitable first.

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

            # unearth logs every index that lacks a package; `locate` reports it if it matters.
            logging.getLogger("unearth").addHandler(logging.NullHandler())
            settings = self._settings = self._settings or pip_settings()
            if settings.no_index and not settings.find_links:  # the finder would use the public index
                raise Unreachable(
                    "pip is configured without an index (no-index) and without a folder: set PIP_FIND_LINKS"
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
        """Raise `Unreachable` if an index failed: the finder skips indexes that answer with an error."""
        for source in self._finder.sources:
            url = source["url"]
            if source["type"] != "index" or not url.startswith("http"):
                continue
            try:
                answer = self._client.get(f"{url.rstrip('/')}/{name}/", timeout=10, follow_redirects=True)
            except httpx.TransportError as error:
                raise Unreachable(f"{title} cannot be reached: {error or type(error).__name__}") from error
            if answer.status_code >= 500:
                raise Unreachable(f"{title} cannot be reached: HTTP {answer.status_code}")

    def _authorization(self, url: str) -> dict[str, str]:
        host = httpx.URL(url).host
        for index in self._settings.indexes if self._settings else ():
            parts = httpx.URL(index)
            if parts.userinfo and parts.host == host:
                plain = f"{parts.username}:{parts.password}".encode()
                return {"Authorization": f"Basic {base64.b64encode(plain).decode()}"}
        return {}


def _public_index(extra: list[str]) -> tuple[str, ...]:
    """Return pip's public index if ``extra`` is set: the finder only adds it if it is given no other."""
    if not extra:
        return ()
    from pip._internal.models.index import PyPI

    return (PyPI.simple_url,)
