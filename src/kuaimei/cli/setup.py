"""``kuaimei setup``: everything that must be there before the first start."""

from collections.abc import Callable

from kuaimei.cli import console
from kuaimei.cli.models import pull_missing, pull_named
from kuaimei.engines.speaker import JUDGE, LOSSES
from kuaimei.errors import WeightsError
from kuaimei.settings import Settings
from kuaimei.voices.listening import LISTENER
from kuaimei.wiring import sources

__all__ = ["prepare", "setup"]


def setup() -> None:
    """Fetch the weights that the settings need and find the fastest way to run them on this machine.

    Done once; run again it only looks whether all is there.
    """
    settings = console.settings_from()
    prepare(settings)
    _pull_for_voices(settings)


def prepare(settings: Settings, *, before_computing: Callable[[], None] = lambda: None) -> None:
    """What must be there to talk, with ``settings``; the first time, also what clones voices.

    Args:
        settings: Name the weights.
        before_computing: Called before the first engine computes.

    Raises:
        WeightsError: If weights cannot be had.
    """
    # A later start is not the time to go looking for what was not to be had.
    if pull_missing(settings):
        _pull_for_voices(settings)
    _measure(settings, before_computing)


def _pull_for_voices(settings: Settings) -> None:
    """What voices are learned through and judged by; without it all else works."""
    try:
        pull_named(settings, (*LOSSES, JUDGE, LISTENER))
    except WeightsError as error:
        console.note(f"Voices cannot be cloned yet: {error}")


def _measure(settings: Settings, before_computing: Callable[[], None]) -> None:
    from kuaimei.engines.tts.kokoro.choosing import candidates, measure, remembered

    voice = sources(settings)["tts"]
    if voice.engine != "kokoro" or voice.path is None or remembered(settings, voice.path):
        return
    if len(candidates(settings, voice.path)) > 1:
        before_computing()
        console.note("Finding the fastest way to speak on this processor (once) …")
        measure(settings, voice.path, console.note)
