"""Quality checks of a reference recording; each has a verdict, a value and advice.

All are pure functions of `SpeechRegions`; the thresholds stand beside the formulas they belong to.
"""

from kuaimei.voices.enrolment.checks.level import check_clipping, check_loudness, check_speech
from kuaimei.voices.enrolment.checks.noise import check_music, check_noise
from kuaimei.voices.enrolment.checks.reverberation import check_reverberation
from kuaimei.voices.enrolment.checks.speakers import Encoder, check_speakers
from kuaimei.voices.enrolment.speech_regions import SpeechRegions
from kuaimei.voices.types import Check

__all__ = ["Encoder", "check_all"]


def check_all(speech: SpeechRegions, encoder: Encoder | None = None) -> tuple[Check, ...]:
    """Run all checks, in display order. Blocks.

    Args:
        speech: The whole recording.
        encoder: GE2E, to tell speakers apart; None: that check is skipped.
    """
    length = check_speech(speech)
    if not speech.spans:
        return (length,)  # the other checks need speech
    return (
        length,
        check_clipping(speech),
        check_loudness(speech),
        check_noise(speech),
        check_reverberation(speech),
        check_music(speech),
        check_speakers(speech, encoder),
    )
