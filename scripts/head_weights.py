"""Weights of the features in the shipped scoring head, with the sources of their signs.

Signs are from experiments with listeners or speakers. Magnitudes are estimates: 0.7 and 0.8 for the main
cue of a score, some half of that for the others, less where two of them are largely redundant or the evidence
is indirect. Together they make most utterances lie between 0.2 and 0.8. They are not fitted to anything;
``kuaimei calibrate`` does that. Features that fail the reliability benchmark are left out.
"""

from collections.abc import Mapping
from typing import Final

from kuaimei.analysis.head import Norm
from kuaimei.analysis.types import Score

SCHERER = (
    "Scherer, London and Wolf, The voice of confidence: paralinguistic cues and audience evaluation, "
    "J. Research in Personality 7, 1973"
)
JIANG = "Jiang and Pell, The sound of confidence and doubt, Speech Communication 88, 2017"
GUYER = (
    "Guyer, Fabrigar and Vaughan-Johnston, Speech rate, intonation, and pitch: investigating the bias and "
    "cue effects of vocal confidence on persuasion, Personality and Social Psychology Bulletin 45, 2019"
)
GOUPIL = (
    "Goupil, Ponsot, Richardson, Reyes and Aucouturier, Listeners' perceptions of the certainty and honesty "
    "of a speaker are associated with a common prosodic signature, Nature Communications 12, 2021"
)
BRENNAN = (
    "Brennan and Williams, The feeling of another's knowing: prosody and filled pauses as cues to listeners "
    "about the metacognitive states of speakers, J. Memory and Language 34, 1995"
)
WINHOLTZ = (
    "Winholtz and Ramig, Vocal tremor analysis with the vocal demodulator, "
    "J. Speech and Hearing Research 35, 1992"
)
FARRUS = (
    "Farrús, Hernando and Ejarque, Jitter and shimmer measurements for speaker recognition, Interspeech 2007"
)
TEIXEIRA = (
    "Teixeira, Oliveira and Lopes, Vocal acoustic analysis: jitter, shimmer and HNR parameters, "
    "Procedia Technology 9, 2013"
)
BROWN = (
    "Brown, Strong and Rencher, Fifty-four voices from two: the effects of simultaneous manipulations of "
    "rate, mean fundamental frequency, and variance of fundamental frequency on ratings of personality from "
    "speech, JASA 55, 1974"
)
PONSOT = (
    "Ponsot, Burred, Belin and Aucouturier, Cracking the social code of speech prosody using reverse "
    "correlation, PNAS 115, 2018"
)
JUSLIN = (
    "Juslin and Laukka, Communication of emotions in vocal expression and music performance, "
    "Psychological Bulletin 129, 2003"
)
BORTFELD = (
    "Bortfeld, Leon, Bloom, Schober and Brennan, Disfluency rates in conversation, "
    "Language and Speech 44, 2001"
)

WEIGHTS: Final[Mapping[Score, Mapping[str, tuple[float, str]]]] = {
    "confidence": {
        "rate_syl_s": (0.7, f"faster: {SCHERER}; {JIANG}; {GUYER}; {GOUPIL}"),
        "pause_ratio": (-0.4, f"fewer and shorter pauses: {SCHERER}"),
        "pauses_per_min": (-0.3, f"doubt pauses more often: {JIANG}; {SCHERER}"),
        "fillers_per_min": (-0.4, f"filled pauses are heard as not knowing: {BRENNAN}"),
        "f0_final_st": (
            -0.4,
            f"falling at the end: {GUYER}; {GOUPIL}; rising is heard as not knowing: {BRENNAN}",
        ),
        "f0_range_st": (0.3, f"a wider range: {JIANG}; pitch fluctuations: {SCHERER}"),
        "level_range_db": (0.2, f"a wider range of amplitude: {JIANG}; energy fluctuations: {SCHERER}"),
    },
    "stability": {
        "tremor_st": (-0.8, f"tremor is a slow modulation of F0: {WINHOLTZ}"),
        "jitter": (-0.4, f"perturbation of the periods: {FARRUS}; {TEIXEIRA}"),
        "shimmer": (-0.4, f"perturbation of the amplitudes: {FARRUS}; {TEIXEIRA}"),
        "hnr_db": (0.3, f"harmonics above noise: {TEIXEIRA}"),
    },
    "affability": {
        "f0_sd_st": (0.5, f"more variance of F0 is rated more benevolent: {BROWN}"),
        "f0_range_st": (0.2, f"joy has a varied pitch: {JUSLIN}"),
        "f0_change_st_s": (0.3, f"the same: {BROWN}; {JUSLIN}"),
        "f0_final_st": (0.2, f"rising at the end is heard as trustworthy: {PONSOT}"),
        "level_sd_db": (0.3, f"indirect: energy fluctuates in engaged speech: {SCHERER}"),
        "rate_syl_s": (-0.2, f"faster is rated less benevolent: {BROWN}"),
    },
}

LITERATURE: Final[Mapping[str, Norm]] = {
    "fillers_per_min": Norm(
        mean=1.0,
        sd=4.0,
        source=f"in conversation 2 to 3 of 100 words are fillers: {BORTFELD}; some 4 a minute, with a spread "
        "as large as that since they are rare in a short utterance; recognition leaves most of them out",
    ),
}
"""Norms of features about which speech read aloud says nothing."""

ABSOLUTE: Final = frozenset({"duration_s", "speech_s", "snr_db", "f0_mean_hz"})
"""Features of length, conditions and speaker rather than manner of speaking: they are never standardized."""
