"""Embedded language model: llama.cpp on this machine's cores."""

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
"""Added if the history ends with a reply, to request another one."""


class LlamaLanguageModel:
    """One model for all conversations, with prompt caches for the latest few.

    Args:
        llama: The loaded model.
        cores: Scheduler of the cores; all of them are held while the model computes.
        threads: Executor on which the model is called.
        context: Tokens of a prompt and its reply.

    Attributes:
        scheduler: Queue of the model, which serves one request at a time.
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
        """How much of the latest prompt came from the cache; None if none has been read."""
        return self._latest.reading if self._latest else None

    def stream(self, req: LLMReq) -> AsyncGenerator[str, None]:
        """Yield new text as it is generated, in the script of the screen, continuing ``req.prefix``.

        Empty pieces are yielded while a long prompt is being read: it takes tens of seconds on two cores.

        Closing the iterator stops the model at the current token and then releases the cores.

        Raises:
            EngineError: If generation failed; `QueueFull` if the queue was full or the deadline passed.
        """
        return on_screen(self._write(req), req.prefix)

    async def warm(self, req: LLMReq) -> None:
        """Read ``req`` into the prompt cache; failures are only logged.

        Other requests can get the cores between two batches of the prompt.
        """
        reads_only = req.model_copy(update={"max_tokens": 1})  # the minimum; the token is discarded
        try:
            async for _ in self._run(reads_only, self._fitting(req)):
                pass
        except EngineError as error:
            _log.debug("the prompt cache could not be warmed: %s", error)

    async def close(self) -> None:
        """Stop all generations and wait for them."""
        runs = list(self._runs)
        for run in runs:
            run.stop()
        await asyncio.gather(*(run.task for run in runs), return_exceptions=True)

    def _write(self, req: LLMReq) -> AsyncGenerator[str, None]:
        messages = self._fitting(req)
        if messages[-1].role == "assistant":
            messages.append(_CONTINUE_INSTRUCTION)
        # Models continue badly after a space: in their vocabulary, spaces begin words.
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
        """Return the messages that fit into the context beside the reply."""
        if not req.messages:
            raise EngineError("the request contains no messages")
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
        raise WeightsError(f"the weights of {source.name} are not installed; run: kuaimei models pull")
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
