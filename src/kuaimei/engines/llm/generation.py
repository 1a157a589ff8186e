"""One call of the embedded model, in steps between which other requests may compute."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from typing import Final, Protocol

from kuaimei.engines.llm.llama_cpp import ProgressCallback, PromptProgress
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import LLMReq, Message, Ticket
from kuaimei.errors import EngineError

__all__ = ["Generation", "Model"]

_STEP_TOKENS: Final = 12
"""Tokens generated before the cores are offered to waiting requests: a first clause is shorter."""


class Model(Protocol):
    """The part of `kuaimei.engines.llm.llama_cpp.Llama` in use."""

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        listener: ProgressCallback,
        *,
        max_tokens: int,
        temperature: float,
    ) -> bool:
        """Generate the continuation of ``messages``, blocking; False if the listener stopped it."""
        ...


class Generation:
    """Reads ``messages`` and generates the continuation, holding all the cores.

    When other requests wait for the cores, it stops after a batch of the prompt or a few tokens, queues
    again and continues from the prompt cache, which costs the time of a single token. Meanwhile it keeps the
    model, unless a more important request wants it: if several requests alternated, each would find its
    prompt evicted from the cache by the others, read it again, and never finish.

    Args:
        model: Called on a thread.
        seat: Scheduler of the model.
        cores: Scheduler of the cores.
        threads: Executor that calls the model.
        req: Supplies ticket, number of tokens and temperature.
        messages: The prompt; a final assistant message is continued.

    Attributes:
        reading: How much of the prompt came from the cache when it was first read; None until then.
    """

    def __init__(
        self,
        model: Model,
        seat: Scheduler,
        cores: Scheduler,
        threads: ThreadPoolExecutor,
        req: LLMReq,
        messages: Sequence[Message],
    ) -> None:
        self._model = model
        self._seat = seat
        self._cores = cores
        self._threads = threads
        self._req = req
        self._messages = [message.model_dump() for message in messages]
        self._loop = asyncio.get_running_loop()
        self._out: asyncio.Queue[str | EngineError | None] = (
            asyncio.Queue()
        )  # bounded by prompt and max_tokens
        self._text = ""
        self._pieces = 0
        self._in_step = 0
        self._computing = False
        self._stopped = False
        self._outranked = False
        self.reading: PromptProgress | None = None
        self.task = asyncio.ensure_future(self._drive())

    async def pieces(self) -> AsyncGenerator[str, None]:
        """Yield the text as it is generated, and an empty piece for each batch of the prompt before that.

        Raises:
            EngineError: If generation failed; `QueueFull` if the queue was full or the deadline passed.
        """
        while (piece := await self._out.get()) is not None:
            if isinstance(piece, EngineError):
                raise piece
            yield piece

    def stop(self) -> None:
        """Stop the generation; the cores are released as soon as the current token or batch is done."""
        self._stopped = True
        self._out.put_nowait(None)
        if not self._computing:  # a thread cannot be cancelled: it checks the flag itself
            self.task.cancel()

    async def _drive(self) -> None:
        try:
            ticket = self._req.ticket
            while not await self._run_until_preempted(ticket):
                ticket = self._ticket_without_deadline
        except EngineError as error:
            self._out.put_nowait(error)
        except Exception as error:  # the consumer must receive it
            self._out.put_nowait(EngineError(f"the language model failed: {error}"))
        finally:
            self._out.put_nowait(None)

    @property
    def _ticket_without_deadline(self) -> Ticket:
        """Ticket for later steps: a generation that has started is finished, however long it takes."""
        return self._req.ticket.model_copy(update={"deadline": None})

    async def _run_until_preempted(self, ticket: Ticket) -> bool:
        """Use the model until the end (True), or until a more important request wants it."""
        self._outranked = False
        async with self._seat.acquire(ticket, give_way=self._give_way):
            held = await self._enter(ticket)
            try:
                while not await self._step() and not self._stopped:
                    if self._outranked:
                        return False
                    held = await self._enter_again(held)
                return True
            finally:
                await held.aclose()

    def _give_way(self) -> None:
        self._outranked = True

    async def _enter(self, ticket: Ticket) -> AsyncExitStack:
        held = AsyncExitStack()
        await held.enter_async_context(self._cores.acquire(ticket, self._cores.capacity))
        return held

    async def _enter_again(self, held: AsyncExitStack) -> AsyncExitStack:
        """Queue again before releasing the cores, so that no less important request gets in between."""
        entering = asyncio.ensure_future(self._enter(self._ticket_without_deadline))
        try:
            await asyncio.sleep(0)  # it is queued now
            await held.aclose()
            return await entering
        except asyncio.CancelledError:
            entering.cancel()
            with suppress(asyncio.CancelledError, EngineError):
                await (await entering).aclose()
            raise

    async def _step(self) -> bool:
        """Compute until the end, or until other requests want the cores; return True at the end."""
        self._in_step = 0
        self._computing = True
        try:
            return await self._loop.run_in_executor(self._threads, self._compute)
        finally:
            self._computing = False

    # On the model's thread

    def _compute(self) -> bool:
        messages = self._messages
        if self._text:
            messages = [*messages]
            begun = messages.pop()["content"] if messages[-1]["role"] == "assistant" else ""
            messages.append({"role": "assistant", "content": begun + self._text})
        left = self._req.max_tokens - self._pieces
        return left <= 0 or self._model.complete(
            messages, self._on_progress, max_tokens=left, temperature=self._req.temperature
        )

    def _on_progress(self, news: PromptProgress | str) -> bool:
        """Handle progress of the model; return False to stop it."""
        if self._stopped:
            return False
        if isinstance(news, PromptProgress):
            if self.reading is None or self._in_step == self._pieces == 0:
                self.reading = news
            if news.evaluated and not news.complete:
                self._tell("")  # tells the consumer that the model makes progress
            # The part read so far stays cached; a step that has read nothing yet would be wasted.
            return not self._wanted or news.evaluated == 0 or news.complete
        self._text += news
        self._pieces += 1
        self._in_step += 1
        return self._tell(news) and (not self._wanted or self._in_step < _STEP_TOKENS)

    def _tell(self, piece: str) -> bool:
        """Pass ``piece`` to the event loop; return False if the loop is closed."""
        try:
            self._loop.call_soon_threadsafe(self._out.put_nowait, piece)
        except RuntimeError:
            return False
        return True

    @property
    def _wanted(self) -> bool:
        """True if another request waits for the model or the cores."""
        return self._outranked or self._cores.depth > 0
