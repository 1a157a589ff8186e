"""The realtime protocol over a real WebRTC connection, with conversations on fakes."""

from tests.integration.server.calling import calling, calling_engines
from tests.integration.server.serving import serving

REPLY = "好的。今天天氣很好，適合出門走走。"


async def test_every_event_of_a_spoken_turn() -> None:
    async with serving(engines=calling_engines()) as served, calling(served) as caller:
        caller.ask()
        await caller.until("output_audio_buffer.stopped")
        print(caller.kinds)
        print([e["type"] for e in caller.events if e["type"].startswith("kuaimei")])
