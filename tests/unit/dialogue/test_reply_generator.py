import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from kuaimei.dialogue.reply_generator import ReplyGenerator
from kuaimei.engines.types import LLMReq, Message, Ticket
from kuaimei.errors import EngineError, EngineUnavailable
from kuaimei.settings import DialogueSettings
from tests.support.fakes import FakeLanguageModel
from tests.support.virtual_time import virtually
from tests.unit.dialogue.conversing import REPLY

REQ = LLMReq(messages=(Message(role="user", content="天氣"),), max_tokens=100)


def reply_generator(model: FakeLanguageModel, **settings: float) -> tuple[ReplyGenerator, list[str]]:
    shown: list[str] = []
    loop = asyncio.get_running_loop()

    def ticket() -> Ticket:
        return Ticket(session="s", deadline=loop.time() + 1.0)

    return ReplyGenerator(model, DialogueSettings(**settings), ticket, shown.append), shown


async def _note(stream: AsyncIterator[str], into: list[str]) -> None:
    async for clause in stream:
        into += [clause]


@virtually
async def test_a_model_that_shares_the_cores_rests_at_each_clause() -> None:
    model = FakeLanguageModel(REPLY)
    thinking, shown = reply_generator(model)
    clauses = []
    async for clause in thinking.clauses(REQ):
        clauses.append(clause)
        assert model.opened == model.closed  # it is stopped while the clause is dealt with
        await asyncio.sleep(5.0)
    assert clauses == [REPLY[:6], REPLY[6:17], REPLY[17:]]
    assert "".join(shown) == "".join(clauses) == thinking.text
    prefixes = [r.prefix for r in model.requests]
    assert prefixes[0] == ""
    assert all(REPLY.startswith(p) for p in prefixes)
    assert [r.max_tokens for r in model.requests] == sorted(
        (r.max_tokens for r in model.requests), reverse=True
    )


@virtually
async def test_every_request_gets_a_fresh_deadline() -> None:
    model = FakeLanguageModel(REPLY)
    thinking, _ = reply_generator(model)
    async for _clause in thinking.clauses(REQ):
        await asyncio.sleep(5.0)
    deadlines = [r.ticket.deadline or 0.0 for r in model.requests]
    assert deadlines[1] - deadlines[0] > 5.0


@virtually
async def test_any_other_model_goes_on_writing() -> None:
    model = FakeLanguageModel(REPLY, shares_cores=False)
    thinking, _ = reply_generator(model)
    clauses = []
    async for clause in thinking.clauses(REQ):
        clauses.append(clause)
        await asyncio.sleep(5.0)
    assert "".join(clauses) == REPLY
    assert len(model.requests) == 1
    assert thinking.writing_s < 1.0


@virtually
async def test_several_sentences_in_one_token_are_all_clauses() -> None:
    for shares_cores in (True, False):
        model = FakeLanguageModel("第一句話在這裡。第二句話在這裡。第三句話在這裡。", token=100)
        model.shares_cores = shares_cores
        thinking, _ = reply_generator(model)
        clauses = [c async for c in thinking.clauses(REQ)]
        assert "".join(clauses) == model.reply
        assert len(clauses) == 3


@virtually
async def test_a_reader_who_stops_stops_the_model() -> None:
    for shares_cores in (True, False):
        model = FakeLanguageModel(REPLY * 20, shares_cores=shares_cores)
        thinking, _ = reply_generator(model)
        clauses = thinking.clauses(REQ)
        await anext(clauses)
        await clauses.aclose()
        assert model.opened == model.closed == 1


@virtually
async def test_a_model_is_not_far_ahead_of_its_reader() -> None:
    model = FakeLanguageModel("這是一句有點長的話。" * 50, shares_cores=False, token_s=0.0)
    thinking, _ = reply_generator(model)
    clauses = thinking.clauses(LLMReq(messages=REQ.messages, max_tokens=1000))
    await anext(clauses)
    await asyncio.sleep(60.0)
    assert thinking.text.count("。") <= 12
    await clauses.aclose()


@virtually
async def test_the_tokens_are_bounded() -> None:
    model = FakeLanguageModel(REPLY * 50)
    thinking, _ = reply_generator(model)
    async for _clause in thinking.clauses(LLMReq(messages=REQ.messages, max_tokens=30)):
        pass
    assert thinking.tokens == 30


@virtually
async def test_patience_is_for_the_first_token_and_then_for_each() -> None:
    for hangs_after, patience in ((0, "4 s"), (3, "2 s")):
        model = FakeLanguageModel("沒有標點的一段話", hangs_after=hangs_after)
        thinking, _ = reply_generator(model, first_token_timeout_s=4.0, token_timeout_s=2.0)
        with pytest.raises(EngineUnavailable, match=f"nothing for {patience}"):
            [c async for c in thinking.clauses(REQ)]
        assert model.opened == model.closed


@virtually
async def test_a_model_that_is_reading_is_not_silent() -> None:
    class Reader(FakeLanguageModel):
        async def stream(self, req: LLMReq) -> AsyncGenerator[str, None]:
            for _ in range(20):
                await asyncio.sleep(3.0)
                yield ""
            async for token in super().stream(req):
                yield token

    thinking, shown = reply_generator(Reader("好的。", shares_cores=False), first_token_timeout_s=4.0)
    assert [clause async for clause in thinking.clauses(REQ)] == ["好的。"]
    assert "".join(shown) == "好的。"
    assert thinking.tokens == 2


@virtually
async def test_what_was_written_before_a_failure_is_kept() -> None:
    for shares_cores in (True, False):
        model = FakeLanguageModel(REPLY, shares_cores=shares_cores)
        model.failure, model.fails_after = EngineError("broken"), 3 if shares_cores else 5
        thinking, shown = reply_generator(model)
        clauses: list[str] = []
        stream = thinking.clauses(REQ)
        with pytest.raises(EngineError, match="broken"):
            await _note(stream, clauses)
        assert "".join(clauses) == "".join(shown) != ""
