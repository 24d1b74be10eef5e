import pickle

import numpy as np
import pytest
import soxr

from sesame.metrics import (
    DNSMOS_METRICS,
    METRICS,
    composite,
    distillmos,
    dnsmos,
    estoi,
    pesq_wb,
    score_pair,
    si_sdr,
    stoi,
)

RATE = 16000
FAST = ("stoi", "si_sdr", "ssnr")


def test_a_row_holds_the_value_of_every_metric(speech_pair):
    row = score_pair(*speech_pair, RATE, (*METRICS, "llr", "wss"), variant="cmgan")
    expected = {
        "pesq": pesq_wb(*speech_pair, RATE),
        "stoi": stoi(*speech_pair, RATE),
        "estoi": estoi(*speech_pair, RATE),
        "si_sdr": si_sdr(*speech_pair, RATE),
        **composite(*speech_pair, RATE, "cmgan"),
    }
    assert row.pop("reasons") == {}
    assert row == {name: score.value for name, score in expected.items()}


@pytest.mark.parametrize("metrics", [("csig",), ("ssnr", "stoi"), ("pesq",), ["wss"]])
def test_a_row_holds_what_was_asked_for_in_that_order(metrics, speech_pair):
    whole = score_pair(*speech_pair, RATE, (*METRICS, "wss"))
    row = score_pair(*speech_pair, RATE, metrics)
    assert list(row) == [*metrics, "reasons"]
    assert all(row[name] == whole[name] for name in metrics)


def test_dnsmos_is_scored_on_the_estimate_whatever_the_target(monkeypatch, speech_pair):
    expected = dnsmos(2 * speech_pair[0].astype("f8"), RATE)["dnsmos_sig"].reason
    row = score_pair(
        2 * speech_pair[0].astype("f8"), np.zeros(9), RATE, ["dnsmos_sig", "stoi"]
    )
    assert row["reasons"] == {"dnsmos_sig": expected, "stoi": "target is silent"}


def test_cut_lengths_are_noted_beside_the_scores(speech_pair):
    noisy, clean = speech_pair
    row = score_pair(noisy[:-50], clean, RATE, FAST)
    assert all(np.isfinite(row[name]) for name in FAST)
    assert list(row["reasons"]) == ["length"]
    same = score_pair(noisy[:-50], clean[:-50], RATE, FAST)
    assert [row[name] for name in FAST] == [same[name] for name in FAST]


def test_the_allowed_difference_of_lengths_can_be_chosen(speech_pair):
    noisy, clean = speech_pair
    strict = score_pair(noisy[:-1], clean, RATE, FAST, max_length_difference=0)
    assert all(np.isnan(strict[name]) for name in FAST)
    loose = score_pair(noisy[:-999], clean, RATE, FAST, max_length_difference=1000)
    assert all(np.isfinite(loose[name]) for name in FAST)


def test_score_pair_can_be_sent_to_a_process():
    assert pickle.loads(pickle.dumps(score_pair)) is score_pair


def at_rate(signals, rate):
    return [soxr.resample(signal / 32768.0, RATE, rate, "VHQ") for signal in signals]


def test_scores_at_another_rate_are_those_of_the_resampled_signals(speech_pair):
    signals = at_rate(speech_pair, 48000)
    names = ("pesq", "ssnr", "csig", "cbak", "covl", "llr", "wss")
    row = score_pair(*signals, 48000, names)
    assert row.pop("reasons") == {"sample_rate": "48000 Hz, resampled to 16000 Hz"}
    back = [soxr.resample(signal, 48000, RATE, "VHQ") for signal in signals]
    expected = score_pair(*back, RATE, names)
    assert row == {name: expected[name] for name in names}
    there = score_pair(*speech_pair, RATE, ["pesq", "ssnr"])
    assert row["pesq"] == pytest.approx(there["pesq"], abs=0.02)
    assert row["ssnr"] == pytest.approx(there["ssnr"], abs=0.02)


def test_metrics_of_any_rate_hear_the_samples_as_they_are(speech_pair):
    signals = at_rate(speech_pair, 44100)
    row = score_pair(*signals, 44100, ["si_sdr", "stoi"])
    assert row["si_sdr"] == si_sdr(*signals, 44100).value
    assert row["stoi"] == stoi(*signals, 44100).value
    assert row["reasons"] == {}


def test_resampling_for_metrics_without_reference_cannot_leave_full_scale(
    monkeypatch,
):
    square = np.sign(np.sin(np.arange(48000) * 0.02))
    heard = []

    def listen(samples, rate):
        heard.append((np.abs(samples).max(), rate))
        return dict.fromkeys(DNSMOS_METRICS, distillmos(samples[:0], rate))

    monkeypatch.setitem(score_pair.__globals__, "dnsmos", listen)
    score_pair(square, None, 48000, DNSMOS_METRICS)
    assert heard == [(1.0, RATE)]


@pytest.mark.parametrize("rate", [0, 3999, 384_001, 2**31 - 1])
def test_rates_that_no_equipment_uses_are_reasons(rate, speech_pair):
    row = score_pair(*speech_pair, rate, ["stoi", "pesq", "distillmos"])
    assert len(set(row["reasons"].values())) == 1
    assert "must be in [4000, 384000] Hz" in row["reasons"]["stoi"]


def test_several_channels_are_never_mixed(speech_pair):
    stereo = np.stack([speech_pair[0]] * 2, axis=1)
    row = score_pair(stereo, stereo, RATE, ["si_sdr", "pesq", "distillmos", "nisqa"])
    assert all(np.isnan(row[name]) for name in row if name != "reasons")
    assert "must be mono (L,)" in row["reasons"]["distillmos"]
    assert "must be mono (L,)" in row["reasons"]["pesq"]


def test_aligning_undoes_a_delay_and_says_so(speech_pair):
    noisy, clean = speech_pair
    late = np.concatenate([np.zeros(37, np.int16), noisy])
    row = score_pair(late, clean, RATE, FAST, align_first=True)
    straight = score_pair(noisy, clean, RATE, FAST)
    assert [row[name] for name in FAST] == [straight[name] for name in FAST]
    assert list(row["reasons"]) == ["align"] and ", 37 late" in row["reasons"]["align"]
    assert score_pair(late, clean, RATE, FAST)["si_sdr"] < straight["si_sdr"] - 5


def test_aligning_what_is_in_time_changes_nothing(speech_pair):
    assert score_pair(*speech_pair, RATE, FAST, align_first=True) == score_pair(
        *speech_pair, RATE, FAST
    )


def test_metrics_that_need_files_say_so_each(speech_pair):
    names = ["utmos", "nisqa", "scoreq"]
    row = score_pair(speech_pair[0], None, RATE, names)
    for name in names:
        assert np.isnan(row[name])
        assert f"--{name}-" in row["reasons"][name]
