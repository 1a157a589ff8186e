"""Measure the distribution of the speech features, and write the scoring head that is shipped.

python -m scripts.fit_norms --cache FOLDER            # writes src/kuaimei/analysis/head.json
python -m scripts.fit_norms --cache FOLDER --clips 20 --out FILE

Norms are the mean and standard deviation over Kokoro's stock voices speaking everyday sentences at three
tempos: synthetic speech, read aloud, by 16 voices. People differ more than that, and one person varies more
over time, so the deviation is multiplied by 1.5. No speaker matches that norm: a score is meaningful only
relative to other scores, hence the person's own history, and calibration. Where synthetic speech says
nothing (fillers), values are from the literature. Weights are those of `scripts.head_weights`.

Clips and their measurements are kept in the cache: an interrupted run resumes.
Takes some 4 minutes on two cores.
"""

import argparse
import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from kuaimei.analysis.head import FEATURES, Head, Norm
from kuaimei.analysis.reliability import shipped_figures
from kuaimei.analysis.types import SCORES
from kuaimei.audio.pcm import ASR_RATE, Pcm
from kuaimei.audio.resample import resample
from kuaimei.engines.prosody import EXTRACTOR, open_meter
from kuaimei.engines.prosody.extraction import measure
from kuaimei.engines.tts import open_synthesizer
from kuaimei.engines.vad import open_vad
from kuaimei.evaluation.synthetic_speech import SyntheticUtterance, lines, speak
from kuaimei.runtime import open_engine
from kuaimei.settings import Settings
from scripts.head_weights import ABSOLUTE, LITERATURE, WEIGHTS

OUT = Path(__file__).resolve().parent.parent / "src" / "kuaimei" / "analysis" / "head.json"
CLIPS = 48
SPREAD = 1.5
"""Estimate: in five recordings of people, features lay up to 3.5 deviations from the synthetic mean."""
MADE = (
    "{count} clips of synthetic speech by 16 stock voices of Kokoro (zh, en), measured by {extractor}; "
    "standard deviations times 1.5, since people differ more"
)


async def hear(cache: Path, todo: Sequence[SyntheticUtterance]) -> list[dict[str, float | None]]:
    """Return the features of each utterance; each is synthesized and measured once."""
    settings = Settings()
    await _speak_all(settings, cache, todo)
    meter, found = open_meter("own"), []
    async with open_engine(settings, "vad", open_vad) as vad:
        for line in todo:
            path = cache / f"{line.name}.{meter.name}-{EXTRACTOR}.json"
            if not path.is_file():
                measured = measure(
                    np.load(cache / f"{line.name}.npy"),
                    ASR_RATE,
                    vad=vad(),
                    meter=meter,
                    transcript=line.text,
                    language=line.language,
                )
                path.write_text(json.dumps(asdict(measured.features)))
            found.append(json.loads(path.read_text()))
    return found


async def _speak_all(settings: Settings, cache: Path, todo: Sequence[SyntheticUtterance]) -> None:
    missing = [line for line in todo if not (cache / f"{line.name}.npy").is_file()]
    if not missing:
        return
    async with open_engine(settings, "tts", open_synthesizer) as synthesizer:
        for line in missing:
            pcm: Pcm = resample(await speak(synthesizer, line), synthesizer.sample_rate, ASR_RATE)
            half = cache / f"{line.name}.half.npy"
            np.save(half, pcm)
            half.rename(cache / f"{line.name}.npy")
            print(f"{line.name}: {len(pcm) / ASR_RATE:.1f} s", flush=True)


def norms(rows: Sequence[Mapping[str, float | None]]) -> dict[str, Norm]:
    """Return the norm of every feature that varies; the literature where synthetic speech says nothing."""
    found: dict[str, Norm] = {}
    for name in FEATURES:
        values = np.array([row[name] for row in rows if row[name] is not None], float)
        if name in LITERATURE:
            found[name] = LITERATURE[name]
        elif name not in ABSOLUTE and len(values) >= len(rows) / 2 and values.std(ddof=1) > 0:
            found[name] = Norm(mean=_short(values.mean()), sd=_short(SPREAD * values.std(ddof=1)))
    return found


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    rows = asyncio.run(hear(args.cache, lines(args.clips)))
    reliable = shipped_figures().reliable()
    for score in SCORES:
        if left := sorted(set(WEIGHTS[score]) - reliable):
            print(f"{score}: {', '.join(left)} left out because they are not reliable", flush=True)
    today = datetime.now(UTC).date()
    head = Head(
        version="shipped",
        made=today,
        about="Norms: "
        + MADE.format(count=len(rows), extractor=f"own-{EXTRACTOR}")
        + ". Weights: see sources.",
        norms=norms(rows),
        weights={s: {n: w for n, (w, _) in WEIGHTS[s].items() if n in reliable} for s in SCORES},
        bias=dict.fromkeys(SCORES, 0.0),
        sources={s: {n: why for n, (_, why) in WEIGHTS[s].items() if n in reliable} for s in SCORES},
    )
    # Named by its numbers: when they change, everything stored is scored again.
    numbers = head.model_dump_json(include={"norms", "weights", "bias"})
    name = f"shipped-{today:%Y%m%d}-{hashlib.sha256(numbers.encode()).hexdigest()[:6]}"
    head = head.model_copy(update={"version": name})
    args.out.write_text(head.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(head.model_dump_json(indent=1))


if __name__ == "__main__":
    main()
