import numpy as np
import pytest

from kuaimei.analysis.calibration import Sample, calibrate
from kuaimei.analysis.head import Head
from kuaimei.analysis.reliability import shipped_figures
from kuaimei.analysis.scoring import raw_scores
from kuaimei.analysis.types import SCORES
from kuaimei.engines.prosody.types import Features
from kuaimei.errors import SettingsError
from tests.unit.analysis.simulated import BIAS, HEAD, TRUE, by_chance, labelled, rated, utterances

USABLE = shipped_figures().reliable()


def fitted(samples: list[Sample], base: Head = HEAD) -> Head:
    return calibrate(samples, base, HEAD, usable=USABLE, version="v").head


def test_known_weights_are_found_in_simulated_labels() -> None:
    head = fitted(labelled(200))
    found = head.weights["confidence"]
    assert set(found) <= USABLE
    for name, weight in TRUE.items():
        assert found[name] == pytest.approx(weight, abs=0.3), name
    others = [abs(weight) for name, weight in found.items() if name not in TRUE]
    assert max(others) < 0.3
    assert head.bias["confidence"] == pytest.approx(BIAS, abs=0.3)
    quality = head.metrics["confidence"]
    assert quality.labels == 200
    assert quality.r2 > 0.7
    assert quality.r is not None
    assert quality.r > 0.85
    assert quality.mae < 0.6
    assert quality.shipped_mae > quality.mae  # those labels contradict it


def test_the_head_predicts_what_was_not_in_the_labels() -> None:
    head = fitted(labelled(150))
    rng = np.random.default_rng(5)
    unseen = utterances(100, seed=99)
    scores = [
        raw_scores(Features(duration_s=4.0, speech_s=4.0, **one), head).score.confidence for one in unseen
    ]
    assert np.corrcoef(scores, [rated(one, rng, noise=0.0) for one in unseen])[0, 1] > 0.9


def test_scores_without_labels_keep_their_weights() -> None:
    found = calibrate(labelled(40), HEAD, HEAD, usable=USABLE, version="v")
    assert found.left == ("stability", "affability")
    assert found.labels == {"confidence": 40, "stability": 0, "affability": 0}
    for score in found.left:
        assert found.head.weights[score] == HEAD.weights[score]
        assert found.head.bias[score] == HEAD.bias[score]
    assert found.head.version == "v"


def test_all_three_at_once() -> None:
    head = fitted(labelled(60, SCORES))
    assert set(head.metrics) == set(SCORES)


def test_features_that_cannot_be_told_are_average() -> None:
    samples = labelled(120)
    holes = [
        Sample({n: v for n, v in s.features.items() if n != "f0_final_st" or at % 2}, s.ratings, s.group)
        for at, s in enumerate(samples)
    ]
    assert fitted(holes).weights["confidence"]["rate_syl_s"] < -0.7


def test_unreliable_features_get_no_weight() -> None:
    samples = labelled(60)
    head = calibrate(samples, HEAD, HEAD, usable=frozenset({"rate_syl_s"}), version="v").head
    assert set(head.weights["confidence"]) == {"rate_syl_s"}


def test_labels_by_chance_are_worse_than_their_mean() -> None:
    found = calibrate(by_chance(60), HEAD, HEAD, usable=USABLE, version="v")
    assert found.worse == ("confidence",)
    assert found.head.metrics["confidence"].r2 < 0.0


def test_sessions_are_not_on_both_sides_of_the_validation() -> None:
    """A score that only knows who speaks is of no use for others, and must not look so."""
    rng = np.random.default_rng(8)
    samples = []
    for session in range(12):
        (own,) = utterances(1, seed=100 + session)
        rating = float(rng.integers(1, 6))
        for _ in range(6):
            one = {
                name: value + 0.02 * HEAD.norms[name].sd * float(rng.normal()) for name, value in own.items()
            }
            samples.append(Sample(one, {"confidence": rating}, group=f"{session}"))
    alone = [Sample(one.features, one.ratings) for one in samples]
    assert fitted(samples).metrics["confidence"].r2 < 0.3
    assert fitted(alone).metrics["confidence"].r2 > 0.9


def test_too_few_labels_are_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"too few labels \(confidence 29, .*at least 30 rated utterances"
    ):
        fitted(labelled(29))


def test_labels_that_do_not_differ_are_refused() -> None:
    samples = [Sample(one, {"affability": 3.0}) for one in utterances(40, 1)]
    with pytest.raises(SettingsError, match="all ratings of affability are 3"):
        fitted(samples)
