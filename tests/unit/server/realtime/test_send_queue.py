import asyncio
import json

from kuaimei.server.realtime.send_queue import SendQueue


async def drain(outbox: SendQueue) -> list[str]:
    kinds: list[str] = []
    while outbox.size:
        text = await outbox.take()
        assert text is not None
        kinds.append(json.loads(text)["type"])
    return kinds


async def test_in_order_with_an_id_each() -> None:
    outbox = SendQueue(1000)
    outbox.put({"type": "a"})
    outbox.put({"type": "b", "text": "好"})
    first, second = json.loads(await outbox.take() or ""), json.loads(await outbox.take() or "")
    assert (first["type"], second["type"], second["text"]) == ("a", "b", "好")
    assert first["event_id"] != second["event_id"]
    assert outbox.size == 0


async def test_who_waits_gets_the_next_one() -> None:
    outbox = SendQueue(1000)
    taking = asyncio.ensure_future(outbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    outbox.put({"type": "a"})
    assert json.loads(await taking or "")["type"] == "a"


async def test_a_replys_audio_is_thrown_away_and_nothing_else() -> None:
    outbox = SendQueue(10_000)
    for n in range(3):
        outbox.put({"type": f"audio-{n}"}, audio_of="one")
        outbox.put({"type": f"text-{n}"})
    outbox.put({"type": "other"}, audio_of="two")
    outbox.drop_audio("one")
    assert await drain(outbox) == ["text-0", "text-1", "text-2", "other"]


async def test_the_size_goes_with_what_is_thrown_away() -> None:
    outbox = SendQueue(10_000)
    outbox.put({"type": "audio", "delta": "x" * 500}, audio_of="one")
    outbox.drop_audio("one")
    assert outbox.size == 0


async def test_too_much_is_given_up_for_good() -> None:
    outbox = SendQueue(300)
    taking = asyncio.ensure_future(SendQueue(300).take())
    outbox.put({"type": "a"})
    outbox.put({"type": "b", "text": "x" * 300})
    assert outbox.overflowed
    outbox.put({"type": "c"})
    assert (outbox.size, await outbox.take()) == (0, None)
    taking.cancel()
