"""``kuaimei setup``: install everything that is needed before the first start."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from kuaimei.cli import console
from kuaimei.cli.models import pull_missing, pull_named
from kuaimei.engines.speaker import EVAL_ENCODER, TRAINING_ENCODERS
from kuaimei.errors import WeightsError
from kuaimei.models.errors import mb
from kuaimei.runtime import sources
from kuaimei.settings import Settings
from kuaimei.voices.training.asr_loss import ASR_LOSS_MODEL
from kuaimei.voices.training.environment.install import bring_packages, make_environment
from kuaimei.voices.training.environment.paths import interpreter
from kuaimei.voices.training.environment.requirements import build_for

__all__ = ["prepare", "setup"]


_TOLD_S: Final = 5.0


def setup(
    packages: Annotated[
        Path | None,
        typer.Option(
            help="Only download the training packages (torch …) into this folder, for a machine of the same "
            "kind without network.",
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Download the weights that the settings need and install the voice training environment.

    Also selects the fastest synthesis runtime for this machine. Needed once; later runs only check that
    everything is there.
    """
    settings = console.settings_from()
    if packages is not None:
        wish = settings.voices.environment
        bring_packages(packages, build_for("auto" if wish == "off" else wish), _Lines())
        console.note(f"The training packages are in {packages}.")
        return
    prepare(settings)
    _pull_for_voices(settings)
    _make_learnable(settings)


def prepare(settings: Settings, *, before_computing: Callable[[], None] = lambda: None) -> None:
    """Install what a conversation needs and, on the first run, the models for voice cloning.

    Args:
        settings: Determine the weights.
        before_computing: Called before the first engine computes.

    Raises:
        WeightsError: If weights cannot be downloaded.
    """
    # Models for cloning that could not be downloaded are not tried again at every start.
    if pull_missing(settings):
        _pull_for_voices(settings)
    _measure(settings, before_computing)


def _pull_for_voices(settings: Settings) -> None:
    """Download the models for training and evaluating voices; everything else works without them."""
    try:
        pull_named(settings, (*TRAINING_ENCODERS, EVAL_ENCODER, ASR_LOSS_MODEL))
    except WeightsError as error:
        console.note(f"Voices cannot be cloned yet: {error}")


def _make_learnable(settings: Settings) -> None:
    """Install the training environment, unless it exists or is disabled.

    Raises:
        NotMade: If it could not be installed.
    """
    wish = settings.voices.environment
    if wish == "off" or settings.voices.python or interpreter(settings) is not None:
        return
    console.note("Installing the training environment (once) …")
    make_environment(settings.home, build_for(wish), _Lines())
    console.note("Voices can be trained.")


class _Lines:
    """Prints the progress of an installation every few seconds."""

    def __init__(self) -> None:
        self._last_s = 0.0

    def planned(self, size: int) -> None:
        if size:
            console.note(f"  {mb(size)} will be downloaded")

    def progress(self, fraction: float, doing: str) -> None:
        now = time.monotonic()
        if now - self._last_s >= _TOLD_S:
            self._last_s = now
            console.note(f"  {fraction:.0%}  {doing}")


def _measure(settings: Settings, before_computing: Callable[[], None]) -> None:
    from kuaimei.engines.tts.kokoro.runtime_selection import cached_choice, candidates, measure

    voice = sources(settings)["tts"]
    if voice.engine != "kokoro" or voice.path is None or cached_choice(settings, voice.path):
        return
    if len(candidates(settings, voice.path)) > 1:
        before_computing()
        console.note("Selecting the fastest synthesis runtime for this CPU (once) …")
        measure(settings, voice.path, console.note)
