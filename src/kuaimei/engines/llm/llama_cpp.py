"""llama.cpp inside this process: one model, its prompt caches, and one call that can be stopped.

Everything here blocks and is meant for a thread.
"""

import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from kuaimei.engines.import_lock import importing
from kuaimei.errors import EngineError, WeightsError
from kuaimei.system.folders import private_folder
from kuaimei.system.memory import release_freed, release_mapped

__all__ = ["Llama", "PromptProgress", "find_gguf"]

_log = logging.getLogger(__name__)

_BATCH = 32
"""Tokens of a prompt evaluated between two chances to stop: a third of a second on two cores for a
model of 1.5B. Batches of 512 read 2 to 8 % faster but cannot be stopped while they run."""

_CACHE_MIB = 256
"""Memory in MiB for prompts of conversations beyond those that have their own cache."""

_SAMPLING: Mapping[str, Any] = {
    "top_p": 0.8,
    "top_k": 20,
    "min_p": 0.03,
    "repeat_penalty": 1.1,
    "repeat_last_n": 128,
    "logit_bias": [[mark, False] for mark in ("`", "``", "```", "**", " **", "##", "###")],
    "stop": ["```"],
}
"""Small models repeat themselves without a penalty, and those trained on code use code fences; markup
that cannot be spoken is suppressed, and a fence that begins nevertheless ends the reply."""


@dataclass(frozen=True, slots=True)
class PromptProgress:
    """Progress of reading a prompt, in tokens.

    Attributes:
        total: Length of the prompt.
        cached: Tokens that the prompt cache still held.
        done: Tokens cached or evaluated so far.
    """

    total: int
    cached: int
    done: int

    @property
    def evaluated(self) -> int:
        """Number of tokens computed so far."""
        return self.done - self.cached

    @property
    def complete(self) -> bool:
        """True if the prompt has been read and generation follows."""
        return self.done >= self.total


ProgressCallback: TypeAlias = Callable[[PromptProgress | str], bool]
"""Called for each batch read and each piece of text generated; returning False stops the model."""


class Llama:
    """A loaded model.

    Its embedded server requires a listening address: a socket in a folder that only this user may enter,
    protected by a random key that is never disclosed.

    Args:
        path: The gguf file.
        threads: Threads to compute with.
        conversations: Number of prompt caches.
        context: Tokens of each.

    Raises:
        WeightsError: If the file cannot be loaded.
    """

    def __init__(self, path: Path, *, threads: int, conversations: int, context: int) -> None:
        with importing():
            import xllamacpp  # type: ignore[import-untyped]

        self._folder = contextlib.ExitStack()
        folder = self._folder.enter_context(private_folder())
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.model_alias = path.stem
        params.n_parallel = conversations
        params.n_ctx = context * conversations
        params.n_batch = params.n_ubatch = _BATCH
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.cache_ram_mib = _CACHE_MIB
        params.cache_idle_slots = False
        params.fit_params = False
        params.hostnames = [str(folder / "llama.sock")]
        params.api_keys = [secrets.token_urlsafe(32)]
        params.n_threads_http = 1
        params.ui = False
        params.endpoint_slots = False
        params.endpoint_metrics = True  # see `_settle`
        params.verbosity = -1
        try:
            self._server: Any = xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            self._folder.close()
            raise WeightsError(
                f"{path} is not a gguf model that this llama.cpp can load; run: kuaimei models verify"
            ) from error
        # Most matrices have been copied in the order in which the CPU multiplies them; the rest, 0.4 of
        # 1.1 GB, are read from the mapped file.
        release_mapped(path.parent.glob("*.gguf"))
        release_freed()

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        listener: ProgressCallback,
        *,
        max_tokens: int,
        temperature: float = 0.0,
    ) -> bool:
        """Generate the continuation of ``messages``; a final assistant message is continued.

        Args:
            messages: The prompt, as dictionaries of role and content.
            listener: Called with progress and text; may stop the generation.
            max_tokens: Upper bound on new tokens.
            temperature: Sampling temperature.

        Returns:
            True if the model finished or reached ``max_tokens``, False if it was stopped; either way the
            computation has ended.

        Raises:
            EngineError: If the request was refused.
        """
        going_on = finished = True
        refused: object = None

        def heed(chunk: dict[str, Any]) -> bool:
            """Handle one chunk; return True to make the server drop the request."""
            nonlocal going_on, finished, refused
            if "choices" not in chunk:
                refused = chunk.get("error", chunk)
                return True
            if progress := chunk.get("prompt_progress"):
                going_on = listener(
                    PromptProgress(progress["total"], progress["cache"], progress["processed"])
                )
            for choice in chunk["choices"]:
                if text := choice.get("delta", {}).get("content"):
                    going_on = listener(text) and going_on
            finished = going_on
            return not going_on

        request = {
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stream": True,
            "cache_prompt": True,
            "return_progress": True,
            "chat_template_kwargs": {"enable_thinking": False},
            **_SAMPLING,
        }
        try:
            self._server.handle_chat_completions(request, heed)
        except (RuntimeError, ValueError) as error:
            refused = error
        if refused is not None:
            message = refused.get("message", refused) if isinstance(refused, dict) else refused
            raise EngineError(f"the language model rejected the request: {message}")
        if not finished:
            self._settle()
        return finished

    def close(self) -> None:
        """Release the model; idempotent."""
        self._server = None  # its destructor ends its threads and waits for them
        self._folder.close()

    def _settle(self) -> None:
        """Wait until the batch or token in progress when the request was dropped is done.

        The server answers queries between two batches, in order: once it answers, it is idle.
        """
        with contextlib.suppress(RuntimeError, ValueError):
            self._server.handle_metrics()


def find_gguf(path: Path) -> Path:
    """Return the gguf file at ``path`` or in that folder; the first part of a split model.

    Raises:
        WeightsError: If there is none, or more than one model.
    """
    if path.is_file():
        return path
    found = sorted(file for file in path.glob("*.gguf") if _is_first_part(file.stem))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(file.name for file in found)
        raise WeightsError(f"{path} contains several models ({names}); set KUAIMEI_LLM to one of them")
    raise WeightsError(f"there is no gguf model at {path}; run: kuaimei models pull")


def _is_first_part(stem: str) -> bool:
    """Return False for the later parts of a model split by llama.cpp (``name-00002-of-00003``)."""
    parts = stem.rsplit("-", 3)
    split = len(parts) == 4 and parts[2] == "of" and parts[1].isdigit()
    return not split or int(parts[1]) == 1
