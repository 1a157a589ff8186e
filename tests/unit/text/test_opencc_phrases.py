"""The list of OpenCC's phrases must be the one of the OpenCC that is installed.

To renew it: write `installed_phrases()` to src/kuaimei/text/data/phrases.txt.xz with ``lzma.compress``.
"""

import lzma
import subprocess
from importlib.resources import files
from pathlib import Path

import opencc
import pytest

GROUPS = (("STPhrases", "STPhrases_GeneratedFromRegionalPhrases"), ("TWPhrases",), ("TWVariantsPhrases",))


def installed_phrases(folder: Path) -> str:
    """What phrases.txt.xz must hold, from OpenCC's own dictionaries."""
    library = Path(opencc.__file__).parent / "clib"
    tool = library / "bin" / "opencc_dict"
    if not tool.is_file():
        pytest.skip("this build of OpenCC has no opencc_dict")
    groups = []
    for names in GROUPS:
        keys = set()
        for name in names:
            source, target = library / "share" / "opencc" / f"{name}.ocd2", folder / f"{name}.txt"
            command = [str(tool), "-i", str(source), "-o", str(target), "-f", "ocd2", "-t", "text"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            lines = target.read_text(encoding="utf-8").splitlines()
            keys |= {line.split("\t")[0] for line in lines if "\t" in line}
        groups.append("\n".join(sorted(keys)))
    return "\n\n".join(groups) + "\n"


def test_the_list_is_that_of_the_installed_opencc(tmp_path: Path) -> None:
    packed = files("kuaimei.text").joinpath("data/phrases.txt.xz").read_bytes()
    assert lzma.decompress(packed).decode() == installed_phrases(tmp_path)
