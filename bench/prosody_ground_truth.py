"""Accuracy of the meters of pitch and voice quality on synthetic voices with known values.

Vowels are built from single glottal pulses, so that their F0, jitter, shimmer and noise are known exactly,
and every installed meter measures them. Prints the errors in percent.

    python -m bench.prosody_ground_truth [--meters own,praat] [--seconds 2] [--json]

Two tables: in the first each pulse has decayed when the next one comes (damped formants): errors there are
those of the meter. In the second the formants ring as in a real open vowel, and above some 150 Hz the rest of
one pulse overlaps the next: periods and amplitudes look more alike than they are, to every meter that
compares periods of the wave.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from bench.prosody_voices import DAMPED, NOISELESS_DB, RATE, RINGING, make_voice
from kuaimei.engines.prosody import METERS, open_meter
from kuaimei.engines.protocols import VoiceQualityExtractor
from kuaimei.errors import SettingsError

__all__ = ["Line", "compare", "main"]

PITCHES: Final = (90.0, 120.0, 160.0, 220.0, 300.0)
PUT_IN: Final[tuple[tuple[str, float], ...]] = (
    *(("jitter", value) for value in (0.003, 0.01, 0.03)),
    *(("shimmer", value) for value in (0.01, 0.03, 0.08)),
    *(("hnr_db", value) for value in (10.0, 20.0, 30.0)),
)
_NOTES: Final = {
    "opensmile": "jitter and shimmer are means of windows of 60 ms, smoothed over three; HNR is of an "
    "autocorrelation that is not divided by that of its window, which holds it below some 16 dB",
    "librosa": "F0 is librosa's; all else is measured as by the own meter",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One voice and what the meters measure.

    Attributes:
        f0_hz: Nominal F0.
        damping: Factor of the formant bandwidths.
        quantity: ``jitter``, ``shimmer`` or ``hnr_db``: the property that was set.
        truth: Its value.
        measured: Value by each meter.
        f0_off: Relative error of F0 by each meter.
    """

    f0_hz: float
    damping: float
    quantity: str
    truth: float
    measured: dict[str, float | None]
    f0_off: dict[str, float | None]

    def off(self, meter: str) -> float | None:
        """Return the relative error of a meter; None if it measured nothing."""
        value = self.measured[meter]
        return None if value is None else value / self.truth - 1.0


def compare(
    meters: Sequence[VoiceQualityExtractor],
    *,
    damping: float,
    pitches: Sequence[float] = PITCHES,
    seconds: float = 2.0,
) -> Iterator[Line]:
    """Yield one line for each pitch and each property.

    Args:
        meters: Meters to compare.
        damping: Factor of the formant bandwidths.
        pitches: F0 values in Hz.
        seconds: Length of each voice.
    """
    for f0_hz in pitches:
        for quantity, amount in PUT_IN:
            samples, truth = make_voice(
                f0_hz,
                jitter=amount if quantity == "jitter" else 0.0,
                shimmer=amount if quantity == "shimmer" else 0.0,
                hnr_db=amount if quantity == "hnr_db" else NOISELESS_DB,
                damping=damping,
                seconds=seconds,
            )
            measured: dict[str, float | None] = {}
            f0_off: dict[str, float | None] = {}
            for meter in meters:
                voice = meter.voice(samples, RATE)
                voiced = voice.f0_hz[voice.f0_hz > 0]
                measured[meter.name] = getattr(voice, quantity)
                f0_off[meter.name] = float(voiced.mean()) / truth.f0_hz - 1.0 if len(voiced) else None
            yield Line(f0_hz, damping, quantity, getattr(truth, quantity), measured, f0_off)


def _speed(meter: VoiceQualityExtractor) -> float:
    """Return the milliseconds of one core per second of voice."""
    samples, _ = make_voice(160.0, jitter=0.01, seconds=10.0)
    meter.voice(samples[:RATE], RATE)
    begun = time.process_time()
    meter.voice(samples, RATE)
    return 1000.0 * (time.process_time() - begun) / (len(samples) / RATE)


def _installed(names: Sequence[str]) -> list[VoiceQualityExtractor]:
    meters = []
    for name in names:
        try:
            meters.append(open_meter(name))
        except SettingsError as error:
            print(f"without {name}: {error}")
    return meters


def _worst(lines: Sequence[Line], meter: str, quantity: str) -> float:
    shares = [line.f0_off[meter] if quantity == "f0" else line.off(meter) for line in lines
              if quantity in ("f0", line.quantity)]  # fmt: skip
    return max(abs(share) if share is not None else np.inf for share in shares)


def _print(title: str, lines: Sequence[Line], names: Sequence[str]) -> None:
    print(f"\n{title}\n")
    print("| F0 | put in | truth |" + "".join(f" {name} |" for name in names))
    print("|---:|---|---:|" + "---:|" * len(names))
    for line in lines:
        truth = f"{line.truth:.1f} dB" if line.quantity == "hnr_db" else f"{100 * line.truth:.2f} %"
        cells = []
        for name in names:
            share = line.off(name)
            cells.append("–" if share is None else f"{100 * share:+.1f} %")
        print(f"| {line.f0_hz:.0f} Hz | {line.quantity} | {truth} | " + " | ".join(cells) + " |")
    for quantity in ("f0", "jitter", "shimmer", "hnr_db"):
        cells = [f"{100 * _worst(lines, name, quantity):.1f} %" for name in names]
        print(f"| all | {quantity} | at most | " + " | ".join(cells) + " |")


def main(argv: Sequence[str] | None = None) -> None:
    """Print the errors of each meter."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--meters", default=",".join(METERS), help="names, parted by commas")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each voice")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args(argv)
    meters = _installed(args.meters.split(","))
    names = [meter.name for meter in meters]
    tables = {
        title: list(compare(meters, damping=damping, seconds=args.seconds))
        for title, damping in (("damped", DAMPED), ("ringing", RINGING))
    }
    speed = {meter.name: round(_speed(meter), 1) for meter in meters}
    if args.json:
        lines = [asdict(line) for table in tables.values() for line in table]
        print(json.dumps({"lines": lines, "ms_per_s": speed, "notes": _NOTES}, ensure_ascii=False))
        return
    _print("Pulses that ring out (off by)", tables["damped"], names)
    _print("Pulses that ring into the next, as in an open vowel (off by)", tables["ringing"], names)
    print("\nms of one core per second: " + ", ".join(f"{name} {ms}" for name, ms in speed.items()))
    for name in names:
        if name in _NOTES:
            print(f"{name}: {_NOTES[name]}")


if __name__ == "__main__":
    main()
