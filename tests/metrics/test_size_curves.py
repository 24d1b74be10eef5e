import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesame.metrics.size_curves import TaskCurve, check_curves, task_curves
from sesame.metrics.task_table import UNPROCESSED, SizeScores


def entry(size, gmacs, mean, task="denoise", metric="si_sdr", count=4):
    count = count if math.isfinite(mean) else 0
    return SizeScores(task, size, 9, gmacs, {metric: mean}, {metric: count}, 4)


def scores(*means, noisy=0.0, **options):
    """The input and sizes a, b, c ... of rising cost."""
    sizes = zip("abcdefgh", means, strict=False)
    lines = [
        entry(name, 0.1 + i, mean, **options) for i, (name, mean) in enumerate(sizes)
    ]
    return [entry(UNPROCESSED, math.nan, noisy, **options), *lines]


def test_a_curve_is_sorted_by_cost_and_has_its_input_apart():
    lines = [entry("big", 3.0, 9.0), entry(UNPROCESSED, math.nan, 1.0)]
    lines += [entry("small", 0.1, 5.0), entry("other", 1.0, 2.0, task="declip")]
    denoise, declip = task_curves(lines, "si_sdr")
    assert [line.size for line in denoise.sizes] == ["small", "big"]
    assert denoise.unprocessed == lines[1] and declip.unprocessed is None


def test_a_task_without_values_has_no_curve():
    lines = [
        *scores(5.0, 6.0),
        *scores(math.nan, math.nan, task="echo", noisy=math.nan),
    ]
    assert [curve.task for curve in task_curves(lines, "si_sdr")] == ["denoise"]


def test_a_drop_is_from_the_best_of_all_cheaper_sizes():
    [curve] = task_curves(scores(5.0, 7.0, 6.9, 6.8, 8.0, 7.9), "si_sdr")
    drop, worse, better = curve.largest_drop()
    assert drop == pytest.approx(0.2)
    assert (worse.size, better.size) == ("d", "b")


@given(st.lists(st.integers(-30, 30), min_size=1, max_size=8))
def test_the_largest_drop_is_that_over_all_pairs(means):
    [curve] = task_curves(scores(*map(float, means), noisy=0.0), "si_sdr")
    pairs = [means[i] - means[j] for j in range(len(means)) for i in range(j + 1)]
    drop, worse, better = curve.largest_drop()
    assert drop == max(pairs)
    assert better.means["si_sdr"] - worse.means["si_sdr"] == drop
    assert better.gmacs <= worse.gmacs


@pytest.mark.parametrize(
    ("means", "tolerance", "said"),
    [
        ((5.0, 6.0, 7.0), 0.1, "monotone within 0.1 dB (largest drop 0.00 dB)"),
        ((5.0, 8.3, 8.2), 0.1, "monotone within 0.1 dB (largest drop 0.10 dB)"),
        ((5.0, 7.11, 7.0), 0.1, "not monotone within 0.1 dB: c is 0.11 dB below b"),
        ((5.0, 7.11, 7.0), 0.2, "monotone within 0.2 dB (largest drop 0.11 dB)"),
        ((5.0, 6.0, 7.0), 0.0, "monotone within 0 dB"),
    ],
)
def test_monotony_is_judged_within_the_tolerance(means, tolerance, said):
    line = check_curves(scores(*means), tolerance)
    assert line.startswith(f"- denoise, SI-SDR: {said}")


def test_sizes_that_do_not_improve_are_named():
    line = check_curves(scores(4.9, 5.0, 5.1, noisy=5.0))
    assert line.endswith("2 of 3 sizes do not improve over the input: a, b")
    line = check_curves(scores(5.1, 5.2, noisy=5.0))
    assert line.endswith("all 2 sizes improve over the input")
    line = check_curves(scores(5.1, 5.2)[1:])
    assert line.endswith("the input was not scored")


def test_means_of_different_utterances_are_told():
    lines = scores(5.0, 6.0)
    lines[1] = lines[1]._replace(counts={"si_sdr": 3})
    assert "(means of 3 to 4 utterances, not the same ones)" in check_curves(lines)
    # A size without any value is not on the curve, but not forgotten either.
    lines = scores(5.0, 6.0, math.nan)
    assert "(means of 0 to 4 utterances" in check_curves(lines)


def test_echo_is_judged_by_its_attenuation_and_scores_without_decibels_not_at_all():
    lines = scores(10.0, 20.0, task="cancel_echo", metric="erle")
    assert check_curves(lines).startswith("- cancel_echo, ERLE: monotone")
    assert check_curves(scores(1.0, 2.0, metric="pesq")) == ""


@pytest.mark.parametrize("tolerance", [-0.1, math.nan])
def test_a_tolerance_below_nothing_is_refused(tolerance):
    with pytest.raises(ValueError, match="must be at least 0 dB"):
        check_curves(scores(1.0), tolerance)


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ValueError, match=r"metric \(mos\) must be among si_sdr"):
        task_curves(scores(1.0), "mos")


def test_a_curve_without_an_input_leaves_nothing_behind_it():
    assert TaskCurve("denoise", "si_sdr", scores(1.0)[1:], None).not_above_input() == []
