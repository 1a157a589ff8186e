"""Examples as they stand in the documentation, run as a reader would run them."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

__all__ = ["ROOT", "blocks", "run"]

ROOT = Path(__file__).resolve().parents[3]
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.M | re.S)


def blocks(page: str, *languages: str, section: str = "") -> list[tuple[str, str]]:
    """Language and text of the examples of ``page``, a path in the repository, in their order.

    Args:
        section: Heading of the section whose examples are wanted; empty: all.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    if section:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [(kind, code) for kind, code in _BLOCK.findall(text) if kind in languages]


async def run(language: str, code: str, folder: Path, **environment: str) -> str:
    """What the example prints; the test fails if it fails."""
    command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euc", code]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(120):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    output = said.decode(errors="replace")
    if process.returncode:
        pytest.fail(f"this example fails:\n{code}\n{output}", pytrace=False)
    return output
