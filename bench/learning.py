"""Speed of training a voice and the similarity reached: the training process alone, without the server.

    python -m bench.learning RECORDING --said TEXT [--judge RECORDING] [--steps style,decoder] [--json]

The voice starts from the style predicted from RECORDING and is evaluated by ERes2Net, which is not used in
training, on sentences that are not training prompts. With ``--judge`` against another recording of the
speaker, preferably the other half: then RECORDING's microphone and room count for nothing. ``kuaimei bench
clone`` evaluates everything else.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuaimei.audio.decode import decode
from kuaimei.audio.pcm import Pcm, from_float
from kuaimei.cli.console import note, print_json, print_table
from kuaimei.engines.speaker import EVAL_ENCODER, TRAINING_ENCODERS, SpeakerEncoder, open_encoder
from kuaimei.engines.tts.kokoro.assets import load_alphabet, load_voices
from kuaimei.engines.tts.kokoro.g2p import load_phonemes
from kuaimei.engines.tts.kokoro.hq import HqNetwork
from kuaimei.engines.tts.kokoro.runtime import RATE, SynthesisInput
from kuaimei.engines.types import Language
from kuaimei.models.onnx_reader import read_onnx
from kuaimei.models.weight_delta import load_difference
from kuaimei.settings import Settings
from kuaimei.voices.enrolment.pitch_range import estimate_pitch
from kuaimei.voices.serialization import style_bytes
from kuaimei.voices.styles.initial import initial_style
from kuaimei.voices.styles.prediction import Prediction, predict_style
from kuaimei.voices.training.asr_loss import ASR_LOSS_MODEL
from kuaimei.voices.training.environment.paths import interpreter
from kuaimei.voices.training.prompts import EVAL_PROMPTS
from kuaimei.voices.training.spec import build_job_spec, write_job_folder
from kuaimei.voices.types import Step

ROOT: Final = Path(__file__).resolve().parents[1]
PYTHON: Final = interpreter(Settings())


class Bench:
    """Everything that a measurement needs, loaded once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.weights = settings.weights_dir
        self.kokoro = self.weights / "kokoro"
        self.alphabet, self.voices = load_alphabet(self.kokoro), load_voices(self.kokoro)
        self.phonemes = load_phonemes(None)
        self.judge: SpeakerEncoder = open_encoder(self.weights / EVAL_ENCODER)

    def tokens(self, text: str) -> list[int]:
        """Return Kokoro's token ids of a text."""
        return list(self.alphabet.tokens(self.phonemes(text)))

    def begin(self, pcm: Pcm, language: Language) -> tuple[Prediction, NDArray[np.float32]]:
        """Return the predicted voice, and the style that training starts from."""
        ge2e, campplus = (open_encoder(self.weights / name).embed(pcm, RATE) for name in TRAINING_ENCODERS)
        pitch = estimate_pitch(pcm, RATE)
        prediction = predict_style(ge2e, pitch, self.voices.stock, campplus)
        return prediction, initial_style(self.voices.stock, ge2e, pitch, language, campplus)

    def similarity(self, lines: Sequence[str], wanted: Pcm, style: Path | str, decoder: Path | None) -> float:
        """Return the mean cosine of ``lines`` in a style with ``wanted``.

        Args:
            lines: Sentences to synthesize.
            wanted: Recording of the speaker, at 24 kHz.
            style: File of the style, or name of a stock voice.
            decoder: File of the trained decoder; None: the stock one.
        """
        replaced = {}
        if decoder is not None:
            difference, stock = load_difference(decoder), read_onnx(self.kokoro / "fp32.onnx").tensors
            replaced = {name: difference.apply(name, stock[name]) for name in difference.names}
        network = HqNetwork(self.kokoro / "fp32.onnx", replaced)
        heard = self.judge.embed(wanted, RATE)
        voices, name = self.voices, str(style)
        if isinstance(style, Path):
            voices = voices.with_voice(name, np.load(style))
        cosines = []
        for line in lines:
            tokens = self.tokens(line)
            row = voices.style(name, len(tokens))
            said = network.render(SynthesisInput(np.array([0, *tokens, 0], np.int64), row, 1.0))
            cosines.append(float(self.judge.embed(from_float(said), RATE) @ heard))
        network.close()
        return statistics.fmean(cosines)


def learn(folder: Path, step: str) -> dict[str, Any]:
    """Run the training process in ``folder``; return its last event, with its resource usage."""
    command = [str(PYTHON), "-W", "ignore", "-m", "kuaimei.training", str(folder)]
    event: dict[str, Any] = {"event": "failed", "message": "it said nothing"}
    iterations = 0
    with subprocess.Popen(
        command, env={"PYTHONPATH": str(ROOT / "src")}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "progress":
                iterations += 1
                if iterations % 10 == 0:
                    note(f"{step} {event['fraction']:.0%}: {event['similarity']}")
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    if event["event"] != "done":
        raise SystemExit(f"learning failed: {event.get('message', event)}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return {**event, "iterations": iterations, "cpu_s": cpu_s, "peak_mb": usage.ru_maxrss / 1024}


def measure(
    bench: Bench, reference: Pcm, said: str, wanted: Pcm, steps: Sequence[Step]
) -> list[dict[str, Any]]:
    """Return one row for the nearest stock voice, one for the prediction, one for each step.

    Args:
        bench: Loaded models.
        reference: Recording to train on, at 24 kHz.
        said: What is said in it.
        wanted: Recording to compare with, at 24 kHz.
        steps: Steps to train.
    """
    language: Language = "zh" if any(ord(char) > 0x2E80 for char in said) else "en"
    lines = EVAL_PROMPTS[language]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="kuaimei-learning-") as name:
        folder = Path(name)
        prediction, style = bench.begin(reference, language)
        np.save(folder / "predicted.npy", prediction.style)

        def judged(step: str, style: Path | str, decoder: Path | None = None, **more: Any) -> None:
            rows.append({"step": step, "eres2net": bench.similarity(lines, wanted, style, decoder), **more})

        judged(f"stock {prediction.nearest}", prediction.nearest)
        judged("predicted", folder / "predicted.npy")
        for step in steps:
            job = build_job_spec(
                step,
                language,
                said,
                bench.tokens,
                weights=bench.kokoro / "fp32.onnx",
                encoders={name: bench.weights / name / "model.onnx" for name in TRAINING_ENCODERS},
                hears=bench.weights / ASR_LOSS_MODEL,
                settings=bench.settings.voices,
            )
            write_job_folder(folder, job, reference, style_bytes(style))
            event = learn(folder, step)
            learned = folder / event["style"]
            style = np.load(learned)
            decoder = folder / event["decoder"] if event["decoder"] else None
            judged(
                step,
                learned,
                decoder,
                **event["similarity"],
                iterations=event["iterations"],
                cpu_s=event["cpu_s"],
                each_s=event["cpu_s"] / event["iterations"],
                peak_mb=event["peak_mb"],
                kb=decoder.stat().st_size / 1000 if decoder else 1.0,
            )
    return rows


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", type=Path)
    parser.add_argument("--said", required=True)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--steps", default="style,decoder")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if PYTHON is None:
        sys.exit("there is no environment to learn voices in: run make setup without SLIM=1")
    reference = asyncio.run(decode(given.recording, RATE))
    wanted = reference if given.judge is None else asyncio.run(decode(given.judge, RATE))
    rows = measure(Bench(Settings()), reference, given.said, wanted, given.steps.split(","))
    if given.json:
        print_json(rows)
        return
    columns = ["step", "eres2net", "ge2e", "campplus", "iterations", "each_s", "cpu_s", "peak_mb", "kb"]
    print_table(columns, [[row.get(column) for column in columns] for row in rows])


if __name__ == "__main__":
    main()
