import math
from dataclasses import asdict, replace

import pytest

from kuaimei.analysis.head import Head, shipped_head
from kuaimei.analysis.reliability import shipped_figures
from kuaimei.analysis.scoring import LEAST_SNR_DB, MAX_ABS_Z, raw_scores, rejection_reason, score, standardise
from kuaimei.analysis.types import SCORES, Explained
from kuaimei.engines.prosody.types import Features

HEAD = shipped_head()


def usual(**other: float | None) -> Features:
    """An utterance that is average in everything."""
    means: dict[str, float | None] = {name: norm.mean for name, norm in HEAD.norms.items()}
    whole = {"duration_s": 4.0, "speech_s": 3.5, "snr_db": 40.0, "f0_mean_hz": 180.0, **means, **other}
    return Features(**whole)  # type: ignore[arg-type]


def explained(features: Features, head: Head = HEAD) -> Explained:
    found = score(features, head)
    assert isinstance(found, Explained)
    return found


def test_the_average_utterance_is_in_the_middle() -> None:
    found = explained(usual())
    assert [getattr(found.score, name) for name in SCORES] == pytest.approx([0.5, 0.5, 0.5])
    assert found.head == HEAD.version


@pytest.mark.parametrize("name", SCORES)
def test_contributions_add_up_to_the_score(name: str) -> None:
    features = usual(rate_syl_s=6.3, pause_ratio=0.3, f0_sd_st=1.1, jitter=0.04, shimmer=0.02, tremor_st=2.0)
    head = HEAD.model_copy(update={"bias": {"confidence": 0.3, "stability": -0.7, "affability": 0.1}})
    found = explained(features, head)
    key = next(one for one in SCORES if one == name)
    logit = math.fsum([found.bias[key], *(part.amount for part in found.contributions[key])])
    assert getattr(found.score, name) == pytest.approx(1.0 / (1.0 + math.exp(-logit)), rel=1e-14)
    assert len(found.contributions[key]) == sum(1 for weight in head.weights[key].values() if weight)
    for part in found.contributions[key]:
        assert part.amount == head.weights[key][part.feature] * part.z
        assert part.value == asdict(features)[part.feature]
        assert abs(part.z) <= MAX_ABS_Z
    amounts = [abs(part.amount) for part in found.contributions[key]]
    assert amounts == sorted(amounts, reverse=True)


def test_what_is_missing_adds_nothing_and_is_left_out() -> None:
    whole = usual(rate_syl_s=7.0, f0_sd_st=5.0)
    part = replace(whole, rate_syl_s=None)
    found = explained(part)
    assert "rate_syl_s" not in found.score.features
    assert "rate_syl_s" not in {one.feature for one in found.contributions["confidence"]}
    assert found.score.confidence == pytest.approx(explained(usual(f0_sd_st=5.0)).score.confidence)
    assert found.score.confidence < explained(whole).score.confidence


def test_what_is_no_number_counts_as_missing() -> None:
    found = raw_scores(usual(rate_syl_s=math.nan), HEAD)
    assert "rate_syl_s" not in found.score.features
    assert math.isfinite(found.score.confidence)


def test_further_than_three_deviations_is_not_told_apart() -> None:
    norm = HEAD.norms["rate_syl_s"]
    assert standardise("rate_syl_s", norm.mean + 2.0 * norm.sd, HEAD) == pytest.approx(2.0)
    assert standardise("rate_syl_s", norm.mean + 50.0 * norm.sd, HEAD) == 3.0
    assert standardise("rate_syl_s", norm.mean - 50.0 * norm.sd, HEAD) == -3.0


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (Features(0.0, 0.0), "not_speech"),
        (usual(speech_s=0.9), "too_short"),
        (usual(speech_s=1.2, rate_syl_s=2.5), "too_short"),
        (usual(speech_s=1.2, rate_syl_s=None), None),
        (usual(snr_db=LEAST_SNR_DB - 0.1), "too_noisy"),
        (usual(snr_db=LEAST_SNR_DB), None),
        (usual(snr_db=None), None),
        (usual(f0_mean_hz=None), "no_voice"),
        (usual(voiced_fraction=0.05), "no_voice"),
        (usual(), None),
    ],
)
def test_reasons_instead_of_numbers(features: Features, reason: str | None) -> None:
    assert rejection_reason(features) == reason
    found = score(features, HEAD)
    assert isinstance(found, Explained) if reason is None else found == reason


def test_scores_stay_between_0_and_1_whatever_is_measured() -> None:
    steep = HEAD.model_copy(update={"bias": {"confidence": 900.0, "stability": -900.0, "affability": 0.0}})
    found = explained(usual(), steep).score
    assert found.confidence == 1.0
    assert found.stability == pytest.approx(0.0)


# What is shipped.


def test_only_reliable_features_count_in_the_shipped_head() -> None:
    assert HEAD.used() <= shipped_figures().reliable()
    assert all(any(HEAD.weights[name].values()) for name in SCORES)


def test_every_weight_says_where_its_sign_comes_from() -> None:
    for name in SCORES:
        assert set(HEAD.sources[name]) == set(HEAD.weights[name])
        assert all(len(source) > 20 for source in HEAD.sources[name].values())


def test_who_speaks_counts_nothing() -> None:
    assert not HEAD.used() & {"f0_mean_hz", "duration_s", "speech_s", "snr_db"}


def test_noise_in_which_scores_are_no_longer_reliable_gets_none() -> None:
    floor = shipped_figures().floor_snr_db
    assert floor is not None
    assert floor - 1.0 <= LEAST_SNR_DB <= floor + 1.0


def test_signs_are_those_of_the_literature() -> None:
    confidence, stability, affability = (HEAD.weights[name] for name in SCORES)
    assert confidence["rate_syl_s"] > 0 > confidence["pause_ratio"]
    assert confidence["fillers_per_min"] < 0
    assert all(weight < 0 for name, weight in stability.items() if name != "hnr_db")
    assert affability["f0_sd_st"] > 0
