"""Generate ``docs/licences.md``: the contents of the default install and their licences.

python -m scripts.licences            # writes the file
python -m scripts.licences --check    # status 1 if the file is out of date
"""

import json
import re
import tomllib
from importlib.metadata import metadata

from packaging.markers import Marker

from scripts.generated import ROOT, write_or_check

TARGET = ROOT / "docs" / "licences.md"

STATED = {
    "addict": "MIT",
    "vosk": "Apache-2.0",
    "openvino-telemetry": "Apache-2.0",
    "num2words": "LGPL-2.1",
}
"""Licences of packages whose metadata says nothing useful: read from their licence files."""

INTRO = """# Licences

Written by `python -m scripts.licences` from the packages as installed and the catalogue of weights.
kuaimei itself is Apache-2.0. Nothing here is under the GPL, a non-commercial or a non-compete licence;
what is, is an optional extra that says so when it is switched on (`pip install 'kuaimei[NAME]'`):

| extra | for | licence |
|---|---|---|
| `praat` | Praat's measurements (`praat-parselmouth`); re-speaking for `kuaimei bench analysis` | GPL-3 |
| `reliability` | `kuaimei bench analysis` (`pingouin`) | GPL-3 |
| `opensmile` | openSMILE's measurements of a voice | research only, no commercial use |
| `librosa` | librosa's F0 | ISC |
| `calibration` | `kuaimei calibrate` (`scikit-learn`) | BSD-3-Clause |
| `mic` | `kuaimei talk` with this machine's microphone (`sounddevice`) | MIT |

The tests use all of these but the last; the server needs none. And of what is always there:

- LGPL: `psycopg` (database driver), `num2words` (a dependency of the phonemiser), `soxr` (resampler).
  They are used as unmodified libraries that anyone can replace.
- MPL-2.0: `certifi`, `pathspec`, `tqdm`; used unmodified.
- `av` (PyAV, BSD-3-Clause) carries FFmpeg built as LGPL-3 (`libavcodec` says so of itself). Its wheel also
  carries the video encoders libx264 and libx265, which are GPL; kuaimei never uses them. Who passes the
  wheel on to others should build PyAV without them.
"""


def main() -> None:
    """Write or check the file."""
    write_or_check(TARGET, render(), "scripts.licences")


def render() -> str:
    """Return the whole document."""
    lines = [INTRO, "## Weights\n", "| name | role | licence |", "|---|---|---|"]
    catalogue = tomllib.loads((ROOT / "src/kuaimei/models/catalog.toml").read_text(encoding="utf-8"))
    lines += [f"| {m['name']} | {m['role']} | {m['licence']} |" for m in catalogue["model"]]
    lines += ["", "## Packages of the default install\n", "| package | licence |", "|---|---|"]
    lines += [f"| {name} | {licence(name)} |" for name in packages()]
    lines += ["", "## Packages built into the page\n", "| package | licence |", "|---|---|"]
    lines += [f"| {name} | {stated} |" for name, stated in page_packages()]
    return "\n".join(lines) + "\n"


def page_packages() -> list[tuple[str, str]]:
    """Return name and licence of the page's packages, development tools aside, from its lock file."""
    lock = ROOT / "web" / "package-lock.json"
    entries = json.loads(lock.read_text(encoding="utf-8"))["packages"].items() if lock.exists() else []
    return sorted(
        (path.rpartition("node_modules/")[2], entry.get("license", "not stated"))
        for path, entry in entries
        if path and not entry.get("dev") and not entry.get("optional")
    )


def packages() -> list[str]:
    """Return the names in requirements.txt that apply to this platform."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^([a-z0-9][a-z0-9._-]*)==[^\s;]+(?: ; (.+?))?(?: \\)?$", text, re.M)
    return [name for name, marker in pinned if not marker or Marker(marker).evaluate()]


def licence(name: str) -> str:
    """Return the licence as the package states it, in its shortest form."""
    if name in STATED:
        return STATED[name]
    data = metadata(name)
    classes = [
        c.rsplit("::", 1)[-1].strip() for c in data.get_all("Classifier") or [] if c.startswith("License")
    ]
    stated = data["License-Expression"] or ", ".join(classes) or (data["License"] or "").split("\n")[0]
    return stated or "not stated"


if __name__ == "__main__":
    main()
