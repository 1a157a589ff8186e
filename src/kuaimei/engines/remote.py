"""What all far engines share: which model to ask for, and how a failure of their server is told."""

from typing import Final

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError

from kuaimei.errors import EngineError, EngineUnavailable, SettingsError

__all__ = ["first_model", "translated"]

_OVERLOADED: Final = frozenset({408, 429, 502, 503, 504})


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
        raise translated(error, who, url) from error
    if not models.data:
        raise SettingsError(f"{url} lists no model; set {setting}")
    return models.data[0].id


def translated(error: Exception, who: str, url: str) -> EngineError:
    """A failure of the client as one sentence; `EngineUnavailable` where trying again may help."""
    if isinstance(error, APIConnectionError):
        return EngineUnavailable(f"{who} at {url} cannot be reached; is it running?")
    if isinstance(error, APIStatusError):
        if error.status_code in _OVERLOADED:
            return EngineUnavailable(f"{who} at {url} has no capacity (HTTP {error.status_code})")
        if error.status_code in (401, 403):
            return EngineError(f"{who} at {url} refuses the key; set KUAIMEI_ENGINES__REMOTE_KEY")
        return EngineError(f"{who} at {url} refused (HTTP {error.status_code}): {error.message}")
    return EngineError(f"{who} at {url} gave no usable answer: {error}")
