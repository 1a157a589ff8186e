"""Several users at their pages at once, on the light models: does everyone get the right reply?

    python -m bench.browser_crowd [--people 5] [--json]

All begin to speak at the same moment, wait for the reply, and go on. Each sentence is spoken by Kokoro
in a voice of its own per user. Status 1 if a turn was lost, reached another user, or was not played as
the server sent it.
"""

import argparse
import asyncio
import base64
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from bench.audio_capture import SCRIPT, correlation, kept, kept_audio, kept_turns, recorded
from bench.browser import arguments, find_chromium, preferring, start_talking
from bench.server_process import server_process
from kuaimei.audio.pcm import EMPTY, Pcm, to_bytes
from kuaimei.audio.streams import collect_pcm
from kuaimei.cli.console import note, print_json, print_table
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.types import TTSReq
from kuaimei.runtime import open_engine
from kuaimei.settings import Settings
from kuaimei.text.error_rate import error_rate

_LIGHT = {
    "KUAIMEI_ASR": "whisper-base",
    "KUAIMEI_LLM": "qwen2.5-coder-0.5b",
    "KUAIMEI_DIALOGUE__MAX_REPLY_TOKENS": "40",  # the benchmark tests delivery, not how long a model goes on
}
_PLACES = (
    "台北的夜市",
    "花蓮的海邊",
    "阿里山的日出",
    "日月潭的船",
    "高雄的港口",
    "台南的古蹟",
    "金門的高粱",
    "墾丁的沙灘",
)
_SENTENCES = ("我想去看{}。", "請介紹一下{}。", "{}什麼時候最好玩？")
_PATIENCE_MS = 240_000
_MOUTH = Path(__file__).with_name("fake_microphone.js").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Said:
    """One turn of one user.

    Attributes:
        own: The transcript is nearer to this sentence than to any other sentence.
        match: Correlation of the reply that was played with the one that is stored.
        waited_s: Seconds from the end of the sentence until the reply was complete.
        first_s: Seconds until its first audio.
        failed: Failures of the turn; an error phrase is no reply.
    """

    person: int
    sentence: str
    understood: str
    own: bool
    reply: str
    match: float
    waited_s: float
    first_s: float | None
    failed: str

    @property
    def right(self) -> bool:
        """True if the turn was neither lost nor delivered to another user."""
        return self.own and bool(self.reply) and not self.failed and self.match > 0.8


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=5, choices=range(1, len(_PLACES) + 1))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    said = asyncio.run(run(args.people))
    wrong = [one for one in said if not one.right]
    result = {
        "people": args.people,
        "turns": len(said),
        "wrong": len(wrong),
        "waited_s_p50": round(statistics.median(one.waited_s for one in said), 1),
        "first_s_p50": round(statistics.median([one.first_s for one in said if one.first_s] or [0.0]), 1),
        "each": [asdict(one) for one in said],
    }
    if args.json:
        print_json(result)
    else:
        print_table(
            ["who", "said", "understood", "reply", "match", "first s", "s", ""],
            [
                [
                    *(s.person, s.sentence, s.understood, s.reply, s.match, s.first_s, s.waited_s),
                    s.failed or ("" if s.right else "!"),
                ]
                for s in said
            ],
        )
    sys.exit(bool(wrong))


async def run(people: int) -> list[Said]:
    """Return the turns of all users."""
    sentences = [[one.format(_PLACES[person]) for one in _SENTENCES] for person in range(people)]
    note("speaking the sentences …")
    speech, rate = await _spoken(sentences)
    with server_process(**_LIGHT) as address:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find_chromium(), args=arguments())
            together = asyncio.Barrier(people)
            everybody = [
                _talk(browser, address, person, sentences, speech[person], rate, together)
                for person in range(people)
            ]
            said = await asyncio.gather(*everybody)
            await browser.close()
    return [one for theirs in said for one in theirs]


async def _spoken(sentences: Sequence[Sequence[str]]) -> tuple[list[list[Pcm]], int]:
    async with open_engine(Settings(), "tts", open_synthesizer) as synthesizer:
        mandarin = [voice for voice in synthesizer.voices if voice.startswith("z")]

        async def say(text: str, person: int) -> Pcm:
            req = TTSReq(text=text, voice_id=mandarin[person % len(mandarin)])
            return await collect_pcm(synthesizer.stream(req))

        theirs = [[await say(text, person) for text in texts] for person, texts in enumerate(sentences)]
        return theirs, synthesizer.sample_rate


async def _talk(
    browser: Browser,
    address: str,
    person: int,
    sentences: Sequence[Sequence[str]],
    speech: Sequence[Pcm],
    rate: int,
    together: asyncio.Barrier,
) -> list[Said]:
    context = await browser.new_context(locale="zh-TW", bypass_csp=True)
    # Compare the fast rendering: the HQ one must not replace it.
    await context.add_init_script(preferring(swap=False))
    await context.add_init_script(_MOUTH)
    await context.add_init_script(SCRIPT)
    page = await context.new_page()
    await page.goto(address)
    await start_talking(page, _PATIENCE_MS)
    await page.locator("[data-talk][data-mood=listening]").wait_for(timeout=_PATIENCE_MS)
    waited = []
    for number, pcm in enumerate(speech):
        await together.wait()
        await page.evaluate(
            "([sound, rate]) => window.say(sound, rate)", [base64.b64encode(to_bytes(pcm)).decode(), rate]
        )
        begun = time.monotonic()
        line = page.locator("li[data-side=assistant]").nth(number)
        await line.locator("[data-timing]").wait_for(timeout=_PATIENCE_MS)
        await page.locator("[data-talk][data-mood=listening]").wait_for(timeout=_PATIENCE_MS)
        waited.append(round(time.monotonic() - begun, 1))
        note(f"{person}: answered after {waited[-1]} s")
    heard = (await recorded(page)).loudspeaker
    utterances = await kept(page, len(speech))
    turns = {one["turn"]: one for one in await kept_turns(page)}
    asked = [one for one in utterances if one["speaker"] == "user" and one["is_turn"]]
    answers = {one["turn"]: one for one in utterances if one["speaker"] == "assistant"}
    if len(asked) != len(speech):
        note(f"{person}: {len(speech)} sentences became {len(asked)} turns")
    everything = [text for texts in sentences for text in texts]
    said = []
    for number, text in enumerate(sentences[person]):
        mine = asked[number] if number < len(asked) else {"transcript": "", "turn": None}
        answered = answers.get(mine["turn"])
        understood = mine["transcript"] or ""
        nearest = min(everything, key=lambda other: error_rate([(other, understood)], "zh"))
        reply_audio = await kept_audio(page, answered["id"]) if answered else EMPTY
        match = correlation(heard, reply_audio, window_s=0.3)
        reply = (answered or {}).get("transcript") or ""
        turn = turns.get(mine["turn"]) or {"timings": {}, "failures": []}
        first_ms = turn["timings"].get("first_audio_ms")
        said.append(
            Said(
                person,
                text,
                understood,
                nearest == text,
                reply,
                round(match, 3),
                waited[number],
                None if first_ms is None else round(first_ms / 1000.0, 1),
                "; ".join(failure["message"] for failure in turn["failures"]),
            )
        )
    await context.close()
    return said


if __name__ == "__main__":
    main()
