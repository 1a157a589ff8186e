"""Reply generation: the language model's text as clauses, each as early as it can be spoken."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from kuaimei.audio.streams import closing
from kuaimei.dialogue.timeouts import timeout_excluding_queue
from kuaimei.engines.protocols import LanguageModel
from kuaimei.engines.types import LLMReq, Ticket
from kuaimei.errors import EngineError, EngineUnavailable
from kuaimei.settings import DialogueSettings
from kuaimei.text.clauses import ClauseSegmenter

__all__ = ["ReplyGenerator"]

_MAX_PREFETCH = 8
"""Maximum clauses by which a model that does not share the cores may be ahead of the synthesizer."""


class ReplyGenerator:
    """Generator of one reply.

    Args:
        model: The language model.
        settings: Dialogue settings.
        ticket: Creates the ticket of each request, whose priority may have risen since the last one.
        on_text: Called with new text as it is generated.

    Attributes:
        text: Everything generated so far.
        tokens: Number of non-empty tokens received.
        writing_s: Time spent waiting for the model, its queue included.
    """

    def __init__(
        self,
        model: LanguageModel,
        settings: DialogueSettings,
        ticket: Callable[[], Ticket],
        on_text: Callable[[str], None],
    ) -> None:
        self._model = model
        self._ticket = ticket
        self._settings = settings
        self._on_text = on_text
        self.text = ""
        self.tokens = 0
        self.writing_s = 0.0

    async def clauses(self, req: LLMReq) -> AsyncGenerator[str, None]:
        """Generate the reply to ``req``, clause by clause.

        A model that shares the CPU cores is stopped while the caller processes a clause and continues from
        its own text, which its prompt cache still holds; any other model keeps generating meanwhile.

        Raises:
            EngineError: If the model failed; `EngineUnavailable` if no token arrived in time.
        """
        clauses = self._interleaved(req) if self._model.shares_cores else self._prefetch(req)
        async with aclosing(clauses):
            async for clause in clauses:
                yield clause

    async def _interleaved(self, req: LLMReq) -> AsyncGenerator[str, None]:
        cutter = ClauseSegmenter()
        finished = False
        try:
            while not finished and self.tokens < req.max_tokens:
                ready: list[str] = []
                going_on = req.model_copy(
                    update={"prefix": req.prefix + self.text, "max_tokens": req.max_tokens - self.tokens}
                )
                async with aclosing(self._tokens(going_on)) as tokens:
                    finished = True
                    async for token in tokens:
                        ready = cutter.push(token)
                        if ready:
                            finished = False
                            break
                for clause in ready:
                    yield clause
        except EngineError:
            for clause in cutter.flush():  # text that was already shown is also spoken
                yield clause
            raise
        for clause in cutter.flush():
            yield clause

    async def _prefetch(self, req: LLMReq) -> AsyncGenerator[str, None]:
        ready: asyncio.Queue[str | Exception | None] = asyncio.Queue(maxsize=_MAX_PREFETCH)

        async def write() -> None:
            cutter = ClauseSegmenter()
            try:
                async with aclosing(self._tokens(req)) as tokens:
                    async for token in tokens:
                        for clause in cutter.push(token):
                            await ready.put(clause)
                for clause in cutter.flush():
                    await ready.put(clause)
                await ready.put(None)
            except Exception as error:
                for clause in cutter.flush():
                    await ready.put(clause)
                await ready.put(error)

        writer = asyncio.ensure_future(write())
        try:
            while (clause := await ready.get()) is not None:
                if isinstance(clause, Exception):
                    raise clause
                yield clause
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _tokens(self, req: LLMReq) -> AsyncGenerator[str, None]:
        loop = asyncio.get_running_loop()
        limit_s = self._settings.first_token_timeout_s
        ticket = self._ticket()
        req = req.model_copy(update={"ticket": ticket})
        async with closing(self._model.stream(req)) as stream:
            while True:
                started_at = loop.time()
                try:
                    async with timeout_excluding_queue(limit_s, ticket.wait):
                        token = await anext(stream)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise EngineUnavailable(
                        f"the language model produced nothing for {limit_s:g} s"
                    ) from None
                finally:
                    self.writing_s += loop.time() - started_at
                if not token:
                    continue
                limit_s = self._settings.token_timeout_s
                self.tokens += 1
                self.text += token
                self._on_text(token)
                yield token
