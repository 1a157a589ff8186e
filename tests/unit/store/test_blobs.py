import asyncio
import fcntl
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
    with pytest.raises(NotFound, match="missing"):
        await anext(blobs.get("sess_a/utt_1.flac", 0, 10))


async def test_what_cannot_be_put_is_told(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be stored"):
        await blobs.put("a.flac", tmp_path / "not there")


def test_a_place_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be stored in"):
        Blobs("nonsense://x", tmp_path)


def test_s3_by_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "somewhere")
    assert Blobs("s3://bucket/recordings", tmp_path).place == "s3://bucket/recordings"


async def test_a_folder_goes_as_a_whole(blobs: Blobs) -> None:
    for key in ("sess_a/1.flac", "sess_a/2.flac", "sess_ab/3.flac"):
        await blobs.put(key, b"sound")
    await blobs.delete_folder("sess_a")
    await blobs.delete_folder("sess_none")
    assert [key async for key in blobs.keys("sess_a")] == []
    assert [key async for key in blobs.keys("sess_ab")] == ["sess_ab/3.flac"]


async def test_what_a_killed_process_had_begun_to_write_is_swept_away(tmp_path: Path) -> None:
    blobs = Blobs("", tmp_path / "recordings")
    await blobs.put("sess_a/1.flac", b"sound")
    writing, dead = (tmp_path / "recordings" / ".unfinished" / name for name in ("writing", "dead"))
    dead.write_bytes(b"half a reco")
    with writing.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        await blobs.sweep()
        assert (dead.exists(), writing.exists()) == (False, True)
    assert await blobs.read("sess_a/1.flac") == b"sound"


async def test_a_key_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    blobs = Blobs("", tmp_path / "recordings")
    (tmp_path / "other").mkdir()
    for key in ("../other", "a/../../other", ".", "", ".unfinished"):
        with pytest.raises(StoreError, match="not a valid name"):
            await blobs.delete_folder(key)
    assert (tmp_path / "other").is_dir()


async def test_put_and_deleted_at_the_same_time_a_folder_is_made_again(tmp_path: Path) -> None:
    """The last of a session is deleted, and its folder with it, while another is put there."""
    blobs = Blobs("", tmp_path / "recordings")

    async def come_and_go(name: str) -> None:
        for _ in range(60):
            await blobs.put(f"sess_a/{name}.flac", b"sound")
            await blobs.delete([f"sess_a/{name}.flac"])

    await asyncio.gather(*(come_and_go(name) for name in "abc"))
    assert [path.name for path in (tmp_path / "recordings").iterdir()] == [".unfinished"]
