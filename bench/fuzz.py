"""Fuzzer: can any client input break the server, or reveal one owner's data to another?

    python -m bench.fuzz [--count 1000000] [--seconds 600] [--seed 1] [--json]

A whole server with a real store and engines that cost nothing, and clients of two owners that send it frames,
events, requests and bytes from the ordinary to the absurd, through every entry point. Invariants: nothing
crashes, no unexpected error is logged, no answer is a 5xx but the documented ones, no owner receives what
another one said, the event loop never computes for more than 250 ms in one step, and at the end everything
is stored.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from bench.fuzz_clients import CUT_OFF, Findings, Owner, Route, Target, garbage, requests, talk
from bench.fuzz_inputs import Inputs
from kuaimei.cli.console import note, print_json, print_table
from kuaimei.dialogue.engines import Engines
from kuaimei.engines.types import LLMReq
from kuaimei.people.authentication import Authentication
from kuaimei.people.keys import digest, new_key, prefix_of
from kuaimei.settings import AnalysisSettings, RenderingSettings, ServerSettings, Settings
from tests.support.fakes import FakeCaptioner, FakeLanguageModel, FakeRecognizer, fake_engines, said, silence
from tests.support.server.app_server import eventually
from tests.support.server.realtime_client import b64, wire
from tests.support.server.whole_server import Apart, apart
from tests.support.voices.running_library import FakeVoiceBank

__all__ = ["Result", "fuzz", "main"]

WORST_MS: Final = 250.0
"""Maximum milliseconds of computing in one step of the event loop."""
_BEHIND: Final = 200
"""Number of utterances waiting to be stored beyond which the clients pause."""
_GOODBYE_MS: Final = 1900.0
"""Stall of the whole machine from which on a missing close frame is excused."""
_OWNERS: Final = (
    Owner("alice", new_key(), "ZQALICE7f3a"),
    Owner("bob", new_key(), "ZQBOB91c2e"),
)
_WEIGHTS: Final = {
    "/api/voices": 0.02,
    "/v1/audio/transcriptions": 0.02,
    "/v1/audio/speech": 0.1,
    "/v1/realtime/calls": 0.2,
    "/api/sessions/{session}/export": 0.1,
    "/api/me/export": 0.02,
    "/metrics": 0.05,
}
"""Relative frequency of routes that start processes, or are expensive even with free engines."""
_EXAMPLES: Final[dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": [
            {"role": "user", "content": "你好"},
            {"role": "system", "content": [{"type": "text", "text": "x"}]},
        ],
        "stream": False,
        "stop": ["。"],
        "max_tokens": 5,
        "temperature": 0.5,
    },
    "/v1/audio/speech": {"input": "你好", "voice": "zf_one", "response_format": "pcm", "speed": 1.0},
    "/v1/realtime/calls": {"sdp": "v=0"},
    "/api/sessions/{session}": {"title": "x"},
    "/api/listening/{trial}": {"choice": "a", "remark": "x"},
    "/api/labelling/{utterance}": {"confidence": 3, "rater": "x"},
    "/api/voices/{voice}": {"name": "x", "transcript": "x"},
    "/api/voices/{voice}/learn": {"step": "style"},
    "/api/voices": {"name": "x", "consent_speaker": "x", "consent_statement": "x", "transcript": "x"},
    "/api/me/notice": {"version": "1"},
    "/api/me/forget": {"confirm": "x"},
    "/v1/audio/transcriptions": {"model": "x", "language": "zh", "prompt": "x", "response_format": "json"},
}


@dataclass(frozen=True)
class Result:
    """Result of a run.

    Attributes:
        findings: What was sent, and what went wrong.
        took_s: Seconds of wall clock.
        worst_ms: Longest computing of the event loop in one step, in milliseconds.
        worst_wall_ms: The same on the wall clock, including other work of the machine.
        unsaved: Utterances that were not stored.
    """

    findings: Findings
    took_s: float
    worst_ms: float
    worst_wall_ms: float
    unsaved: int


class _Noted(logging.Handler):
    """Records logged errors as faults."""

    def __init__(self, findings: Findings) -> None:
        super().__init__(logging.ERROR)
        self._findings = findings

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else ""
        self._findings.fault(f"logged by {record.name}: {record.getMessage()} {error!r}")


def main() -> None:
    """Run and print; exit with 1 if there are faults."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=0, help="frames, events and requests; 0: as many as fit")
    parser.add_argument("--seconds", type=float, default=0.0, help="0: until the count is reached")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.count and not args.seconds:
        args.count = 1_000_000
    with tempfile.TemporaryDirectory(prefix="kuaimei-fuzz-") as folder:
        result = fuzz(Path(folder), args.count or sys.maxsize, args.seconds or float("inf"), args.seed)
    findings = result.findings
    told = {
        "seed": args.seed,
        "sent": findings.total,
        "took_s": round(result.took_s, 1),
        "worst_ms": round(result.worst_ms, 1),
        "worst_wall_ms": round(result.worst_wall_ms, 1),
        "unsaved": result.unsaved,
        "by_kind": dict(findings.sent.most_common()),
        "answers": dict(findings.answers.most_common()),
        "faults": findings.faults,
    }
    if args.json:
        print_json(told)
    else:
        print_table(["", ""], [[name, str(value)] for name, value in told.items() if name != "faults"])
        for fault in findings.faults:
            note(fault)
    sys.exit(bool(findings.faults))


def fuzz(
    home: Path,
    count: int,
    seconds: float,
    seed: int,
    settings: Settings | None = None,
    *,
    prepare: Callable[[FastAPI], None] = lambda app: None,
) -> Result:
    """Send until ``count`` inputs are sent or ``seconds`` are over.

    Args:
        home: Data folder of the server.
        count: Frames, events and requests.
        seconds: On the wall clock.
        seed: The same seed gives the same inputs (their order over the clients varies).
        settings: Settings with the store to use; None: a store of its own in ``home``.
        prepare: Changes the application before it is served.
    """
    findings = Findings()
    server = ServerSettings(port=0, requests_per_minute=10**9, max_sessions=12, max_waiting=8)
    settings = settings or Settings(
        home=home / "home", rendering=RenderingSettings(hq="none"), analysis=AnalysisSettings(enabled=True)
    )
    settings = settings.model_copy(update={"server": server})
    began = time.monotonic()
    authentication = Authentication(server)
    with (
        apart(settings, _engines(), authentication=authentication, prepare=prepare) as served,
        _noted(findings),
    ):
        served.run(_admit(served, authentication))
        deadline = time.monotonic() + seconds
        target = Target(
            served.whole.port,
            _routes(served.whole.app),
            [b64(wire(said("一二三"))), b64(wire(silence(400))), b64(wire(said("好"), silence(900))), "AAAA"],
            findings,
            lambda: findings.total < count and time.monotonic() < deadline,
            lambda: served.whole.store._ingest.unsaved > _BEHIND,
        )
        served.pulse.reset()
        asyncio.run(_clients(target, seed))
        worst_ms, worst_wall_ms = served.pulse.worst_ms, served.pulse.worst_wall_ms
        unsaved = _settled(served)
    if worst_ms > WORST_MS:
        findings.fault(f"the event loop computed for {worst_ms:.0f} ms in one step")
    if (cut_off := findings.answers[f"closed {CUT_OFF}"]) and worst_wall_ms < _GOODBYE_MS:
        findings.fault(f"{cut_off} connections ended without a goodbye, and the machine did not stand still")
    if unsaved:
        findings.fault(f"{unsaved} utterances are not kept")
    return Result(findings, time.monotonic() - began, worst_ms, worst_wall_ms, unsaved)


async def _clients(target: Target, seed: int) -> None:
    work = []
    for number in range(4):
        for me in _OWNERS:
            others = [other for other in _OWNERS if other is not me]
            inputs = Inputs(seed * 1000 + number * 10 + _OWNERS.index(me), me.sentinel)
            if number < 2:
                work.append(talk(target, me, others, inputs))
            # What one client creates, another requests over HTTP.
            work.append(requests(target, me, others, inputs))
    work.append(garbage(target, _OWNERS[0], Inputs(seed, _OWNERS[0].sentinel)))
    await asyncio.gather(*work)


async def _admit(served: Apart, authentication: Authentication) -> None:
    """Create the owners and their keys."""
    store = served.whole.store
    for owner in _OWNERS:
        person = await store.people.add(owner.name)
        await store.keys.add(person.id, sha256=digest(owner.key), prefix=prefix_of(owner.key))
    await eventually(lambda: all(authentication.identify(owner.key) for owner in _OWNERS))


def _engines() -> Engines:
    """Return engines that cost nothing, remember nothing, and echo their input, so that leaks are visible."""

    def echo(req: LLMReq) -> str:
        return f"好的，{req.messages[-1].content[:60]}。"

    model = FakeLanguageModel(reply=echo, first_token_s=0.0, token_s=0.0, token=8)
    recognizer = FakeRecognizer(text="你好嗎", delay_s=0.0)
    synthesizer = FakeVoiceBank(delay_s=0.0, character_ms=20.0)
    for engine, names in (
        (model, ("requests", "warmed")),
        (recognizer, ("requests", "finished")),
        (synthesizer, ("requests",)),
    ):
        for name in names:
            setattr(engine, name, deque(maxlen=10))
    return fake_engines(
        language_model=model,
        recognizer=recognizer,
        synthesizer=synthesizer,
        captioner=FakeCaptioner(delay_s=0.0),
    )


def _routes(app: FastAPI) -> Sequence[Route]:
    """Return all routes of the application's OpenAPI description."""
    found = []
    for path, methods in app.openapi()["paths"].items():
        for method, told in methods.items():
            named = {
                kind: tuple(one["name"] for one in told.get("parameters", ()) if one["in"] == kind)
                for kind in ("path", "query")
            }
            body = method.upper() in {"POST", "PATCH", "PUT"}
            content = told.get("requestBody", {}).get("content", {})
            found.append(
                Route(
                    method.upper(),
                    path,
                    named["path"],
                    named["query"],
                    _EXAMPLES.get(path, {}) if body else None,
                    "multipart/form-data" in content,
                    _WEIGHTS.get(path, 1.0) if body or path not in _EXAMPLES else 1.0,
                )
            )
    return found


def _settled(served: Apart) -> int:
    """Return the number of unsaved utterances, once it has not fallen for a minute."""

    async def settle() -> int:
        await served.whole.store.flush(60.0)
        return (await served.whole.store.statistics()).unsaved

    unsaved, before = served.run(settle()), sys.maxsize
    while 0 < unsaved < before:  # a slow disk is still catching up
        unsaved, before = served.run(settle()), unsaved
    return unsaved


@contextmanager
def _noted(findings: Findings) -> Iterator[None]:
    handler = _Noted(findings)
    loggers = [logging.getLogger(name) for name in ("", "uvicorn")]  # uvicorn's logger does not propagate
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


if __name__ == "__main__":
    main()
