"""``kuaimei setup``: everything that must be there before the first start."""

from kuaimei.cli import console
from kuaimei.cli.models import pull_missing
from kuaimei.settings import Settings
from kuaimei.wiring import sources

__all__ = ["prepare", "setup"]


def setup() -> None:
    """Fetch the weights that the settings need and find the fastest way to run them on this machine.

    Done once; run again it only looks whether all is there.
    """
    prepare(console.settings_from())


def prepare(settings: Settings) -> None:
    """What ``kuaimei setup`` does, with ``settings``.

    Raises:
        WeightsError: If weights cannot be had.
    """
    pull_missing(settings)
    _measure(settings)


def _measure(settings: Settings) -> None:
    from kuaimei.engines.tts.kokoro.choosing import candidates, measure, remembered

    voice = sources(settings)["tts"]
    if voice.engine != "kokoro" or voice.path is None or remembered(settings, voice.path):
        return
    if len(candidates(settings, voice.path)) > 1:
        console.note("Finding the fastest way to speak on this processor (once) …")
        measure(settings, voice.path, console.note)
