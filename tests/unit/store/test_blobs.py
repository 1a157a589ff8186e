from pathlib import Path

import pytest

from kuaimei.errors import NotFound, StoreError
from kuaimei.store.blobs import Blobs


@pytest.fixture(params=["", "memory:///", "folder", "file"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    url = {"folder": str(tmp_path / "other"), "file": (tmp_path / "third").as_uri()}
    return Blobs(url.get(request.param, request.param), tmp_path / "recordings")


async def test_put_get_list_delete(blobs: Blobs, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4000
    (tmp_path / "file").write_bytes(data)
    await blobs.check()
    await blobs.put("sess_a/utt_1.flac", tmp_path / "file")
    await blobs.put("sess_a/utt_1.flac", tmp_path / "file")
    await blobs.put("sess_ab/utt_2.flac", tmp_path / "file")
    assert b"".join([chunk async for chunk in blobs.get("sess_a/utt_1.flac", 0, len(data))]) == data
    assert (
        b"".join([chunk async for chunk in blobs.get("sess_a/utt_1.flac", 10, 300_000)]) == data[10:300_000]
    )
    assert [chunk async for chunk in blobs.get("sess_a/utt_1.flac", 5, 5)] == []
    assert [key async for key in blobs.keys("sess_a")] == ["sess_a/utt_1.flac"]
    assert [key async for key in blobs.keys("sess_none")] == []
    await blobs.delete(["sess_a/utt_1.flac", "sess_a/never.flac"])
    assert [key async for key in blobs.keys("sess_a")] == []
    with pytest.raises(NotFound, match="gone"):
        await anext(blobs.get("sess_a/utt_1.flac", 0, 10))


async def test_what_cannot_be_put_is_told(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be put away"):
        await blobs.put("a.flac", tmp_path / "not there")


def test_a_place_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be kept in"):
        Blobs("nonsense://x", tmp_path)


def test_s3_by_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "somewhere")
    assert Blobs("s3://bucket/recordings", tmp_path).place == "s3://bucket/recordings"
