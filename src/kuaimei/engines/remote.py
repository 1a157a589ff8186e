"""Shared parts of all remote engines: client, scheduler, model choice and error mapping."""

import re
from typing import Final

from openai import (
    APIConnectionError,
    APIStatusError,
    AsyncOpenAI,
    DefaultAsyncHttpxClient,
    NotGiven,
    OpenAIError,
    Timeout,
    not_given,
)

from kuaimei.engines.scheduling import Scheduler
from kuaimei.errors import EngineError, EngineUnavailable, SettingsError
from kuaimei.models.source import without_secrets
from kuaimei.settings import EngineSettings
from kuaimei.text.wellformed import to_well_formed

__all__ = ["far_client", "far_lane", "first_model", "map_openai_errors"]

_OVERLOADED: Final = frozenset({408, 429, 502, 503, 504})
_QUOTED: Final = 200
"""Maximum number of characters quoted from a remote server's error message."""
_SPACE: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_ADDRESS: Final = re.compile(r"(?<=://)[^/\s@]*@")


def far_client(settings: EngineSettings, url: str, timeout: Timeout | NotGiven = not_given) -> AsyncOpenAI:
    """Return a client of the server at ``url`` that ignores the environment.

    Environment variables must not decide where speech is sent.

    Args:
        settings: Engine settings, which hold the key.
        url: Base URL.
        timeout: Default timeout; the library's own if not given.
    """
    client = AsyncOpenAI(
        base_url=url,
        api_key=settings.remote_key.get_secret_value() or "none",
        timeout=timeout,
        max_retries=1,
        # Use no proxy from the environment and no unrelated password from ~/.netrc.
        http_client=DefaultAsyncHttpxClient(trust_env=False),
    )
    # The library reads these from OPENAI_*, which are meant for another server.
    client.organization = client.project = None
    client._custom_headers = {}
    return client


def far_lane(role: str, url: str, capacity: int) -> Scheduler:
    """Return the scheduler of a remote engine; background requests get at most three quarters of it.

    Args:
        role: Role of the engine, for messages.
        url: URL of its server.
        capacity: Maximum number of concurrent requests.
    """
    return Scheduler(f"{role} at {without_secrets(url)}", capacity, reserved=-(-capacity // 4))


async def first_model(client: AsyncOpenAI, who: str, setting: str) -> str:
    """Return the id of the first model that the server lists.

    Args:
        client: Client of the server.
        who: User-facing name of the engine (``the recognizer``), for messages.
        setting: Environment variable that sets the model, for messages.

    Raises:
        EngineError: If the request failed.
        SettingsError: If the server lists no model.
    """
    url = str(client.base_url)
    try:
        models = await client.models.list()
    except (OpenAIError, ValueError) as error:
        raise map_openai_errors(error, who, url) from error
    if not models.data:
        raise SettingsError(f"{without_secrets(url)} lists no models; set {setting}")
    return models.data[0].id


def map_openai_errors(error: Exception, who: str, url: str) -> EngineError:
    """Convert a client failure to a one-sentence error; `EngineUnavailable` where a retry may help.

    The server's own message is untrusted text that reaches clients, logs and the database, so it is
    reduced to one short line.
    """
    url = without_secrets(url)
    if isinstance(error, APIConnectionError):
        return EngineUnavailable(f"{who} at {url} cannot be reached; is it running?")
    if isinstance(error, APIStatusError):
        if error.status_code in _OVERLOADED:
            return EngineUnavailable(f"{who} at {url} has no capacity (HTTP {error.status_code})")
        if error.status_code in (401, 403):
            return EngineError(f"{who} at {url} rejected the API key; set KUAIMEI_ENGINES__REMOTE_KEY")
        return EngineError(
            f"{who} at {url} rejected the request (HTTP {error.status_code}): {_quoted(error.message)}"
        )
    return EngineError(f"{who} at {url} returned no usable response: {_quoted(str(error))}")


def _quoted(text: str) -> str:
    line = _ADDRESS.sub("", _SPACE.sub(" ", to_well_formed(text[: 20 * _QUOTED]))).strip()
    return line if len(line) <= _QUOTED else line[:_QUOTED] + "…"
