"""The embedded language model: llama.cpp on this machine's cores."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final

from kuaimei.engines.llm.context_window import SPARE_TOKENS, estimate_tokens, fit_context
from kuaimei.engines.llm.generation import Generation, Model
from kuaimei.engines.llm.llama_cpp import Llama, PromptProgress, find_gguf
from kuaimei.engines.llm.postprocess import on_screen
from kuaimei.engines.registry import EngineContext
from kuaimei.engines.scheduling import Scheduler
from kuaimei.engines.types import LLMReq, Message
from kuaimei.errors import EngineError, WeightsError
from kuaimei.models.source import EngineSource

__all__ = ["LlamaLanguageModel", "open_llama"]

_log = logging.getLogger(__name__)

_CONTINUE_INSTRUCTION: Final = Message(role="user", content="請繼續。")
"""Where the history ends with a reply, another one is asked for."""


class LlamaLanguageModel:
    """One model for all conversations, with a prompt cache for each of the latest few.

    Args:
        llama: The model, loaded.
        cores: Where it waits for the cores; it holds all of them while it computes.
        threads: On which the model is called.
        context: Tokens of a prompt and its reply.

    Attributes:
        lane: Where requests wait for the model, one after another.
    """

    shares_cores = True

    def __init__(self, llama: Model, cores: Scheduler, threads: ThreadPoolExecutor, *, context: int) -> None:
        self._llama = llama
        self.scheduler = Scheduler("llm", limit=cores.limit)
        self._cores = cores
        self._threads = threads
        self._context = context
        self._runs: set[Generation] = set()
        self._latest: Generation | None = None

    @property
    def reading(self) -> PromptProgress | None:
        """How much of the latest prompt came out of the cache; None if none has been read."""
        return self._latest.reading if self._latest else None

    def stream(self, req: LLMReq) -> AsyncGenerator[str, None]:
        """New text as it is written, in the script of the screen, going on from ``req.prefix``.

        Empty pieces come while a long prompt is being read: it takes tens of seconds on two cores.

        Closing the iterator stops the model at the token it is at, and then lets go of the cores.

        Raises:
            EngineError: If generation failed; `QueueFull` if there was no place or time for it.
        """
        return on_screen(self._write(req), req.prefix)

    async def warm(self, req: LLMReq) -> None:
        """Read ``req`` into the prompt cache; gives up silently where that is not possible.

        Whoever else wants the cores gets them between two batches of the prompt.
        """
        reads_only = req.model_copy(update={"max_tokens": 1})  # the least there is; it is thrown away
        try:
            async for _ in self._run(reads_only, self._fitting(req)):
                pass
        except EngineError as error:
            _log.debug("the prompt cache was not warmed: %s", error)

    async def close(self) -> None:
        """Stop whatever is running and wait for it."""
        runs = list(self._runs)
        for run in runs:
            run.stop()
        await asyncio.gather(*(run.task for run in runs), return_exceptions=True)

    def _write(self, req: LLMReq) -> AsyncGenerator[str, None]:
        messages = self._fitting(req)
        if messages[-1].role == "assistant":
            messages.append(_CONTINUE_INSTRUCTION)
        # A model goes on badly after a space: to it, spaces are the beginnings of words.
        if prefix := req.prefix.rstrip(" "):
            messages.append(Message(role="assistant", content=prefix))
        return self._run(req, messages)

    async def _run(self, req: LLMReq, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        run = self._latest = Generation(
            self._llama, self.scheduler, self._cores, self._threads, req, messages
        )
        self._runs.add(run)
        run.task.add_done_callback(lambda _: self._runs.discard(run))
        try:
            async for piece in run.pieces():
                yield piece
        finally:
            run.stop()

    def _fitting(self, req: LLMReq) -> list[Message]:
        """The messages that fit into the context beside what is to be written."""
        if not req.messages:
            raise EngineError("there is nothing to answer: the request has no messages")
        spent = req.max_tokens + estimate_tokens(req.prefix) + SPARE_TOKENS
        return list(fit_context(req.messages, max(self._context - spent, self._context // 4)))


@asynccontextmanager
async def open_llama(
    engine_context: EngineContext, source: EngineSource
) -> AsyncIterator[LlamaLanguageModel]:
    """Load the model; its caches are empty.

    Raises:
        WeightsError: If there is no model at ``source.path`` or it cannot be loaded.
    """
    if source.path is None:
        raise WeightsError(f"{source.name} has no weights on this machine; run: kuaimei models pull")
    settings = engine_context.settings.engines
    path = find_gguf(source.path)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="llama") as threads:
        llama = await loop.run_in_executor(
            threads,
            lambda: Llama(
                path,
                threads=engine_context.cores.capacity,
                conversations=settings.llm_parallel,
                context=settings.llm_context,
            ),
        )
        model = LlamaLanguageModel(llama, engine_context.cores, threads, context=settings.llm_context)
        try:
            yield model
        finally:
            await model.close()
            await loop.run_in_executor(threads, llama.close)
