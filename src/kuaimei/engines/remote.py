"""What all far engines share: client, queue, which model to ask for, how a failure is told."""

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
"""Characters of what a far server says of its failure."""
_SPACE: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_ADDRESS: Final = re.compile(r"(?<=://)[^/\s@]*@")


def far_client(settings: EngineSettings, url: str, timeout: Timeout | NotGiven = not_given) -> AsyncOpenAI:
    """A client of the server at ``url``; the environment has no say in where speech goes.

    Args:
        settings: With the key.
        url: Base URL.
        timeout: Patience; the library's own unless each request brings one.
    """
    client = AsyncOpenAI(
        base_url=url,
        api_key=settings.remote_key.get_secret_value() or "none",
        timeout=timeout,
        max_retries=1,
        # Neither a proxy nor a password of somebody else's from the environment or ~/.netrc.
        http_client=DefaultAsyncHttpxClient(trust_env=False),
    )
    # The library takes these from OPENAI_*, which are meant for another server.
    client.organization = client.project = None
    client._custom_headers = {}
    return client


def far_lane(role: str, url: str, capacity: int) -> Scheduler:
    """Where requests to a far engine wait; a quarter of them is for those who are talking.

    Args:
        role: Of the engine.
        url: Of its server.
        capacity: Requests at once.
    """
    return Scheduler(f"{role} at {without_secrets(url)}", capacity, reserved=-(-capacity // 4))


async def first_model(client: AsyncOpenAI, who: str, setting: str) -> str:
    """The first model that the server lists.

    Args:
        client: Of the server.
        who: What it is to the user (``the recogniser``), for messages.
        setting: Names the environment variable that says which model to ask for.

    Raises:
        EngineError: If it cannot be asked.
        SettingsError: If it lists none.
    """
    url = str(client.base_url)
    try:
        models = await client.models.list()
    except (OpenAIError, ValueError) as error:
        raise map_openai_errors(error, who, url) from error
    if not models.data:
        raise SettingsError(f"{without_secrets(url)} lists no model; set {setting}")
    return models.data[0].id


def map_openai_errors(error: Exception, who: str, url: str) -> EngineError:
    """A failure of the client as one sentence; `EngineUnavailable` where trying again may help.

    What the server itself says is foreign text that goes to clients, logs and the database: one short line.
    """
    url = without_secrets(url)
    if isinstance(error, APIConnectionError):
        return EngineUnavailable(f"{who} at {url} cannot be reached; is it running?")
    if isinstance(error, APIStatusError):
        if error.status_code in _OVERLOADED:
            return EngineUnavailable(f"{who} at {url} has no capacity (HTTP {error.status_code})")
        if error.status_code in (401, 403):
            return EngineError(f"{who} at {url} refuses the key; set KUAIMEI_ENGINES__REMOTE_KEY")
        return EngineError(f"{who} at {url} refused (HTTP {error.status_code}): {_quoted(error.message)}")
    return EngineError(f"{who} at {url} gave no usable answer: {_quoted(str(error))}")


def _quoted(text: str) -> str:
    line = _ADDRESS.sub("", _SPACE.sub(" ", to_well_formed(text[: 20 * _QUOTED]))).strip()
    return line if len(line) <= _QUOTED else line[:_QUOTED] + "…"
