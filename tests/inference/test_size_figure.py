import math

import pytest

from sesame.inference.figures import save_figure
from sesame.inference.size_figure import size_figure
from sesame.metrics.task_table import UNPROCESSED, SizeScores

pytest.importorskip("matplotlib")
TASKS = ("conceal", "declip", "denoise", "extract")


def lines_of(task, noisy=1.0):
    rows = [("b", 2.0, 7.0), ("a", 0.1, 5.0), ("c", 30.0, 8.0)]
    rows += [(UNPROCESSED, math.nan, noisy)]
    return [
        SizeScores(
            task,
            size,
            9,
            cost,
            {"si_sdr": mean, "pesq": 1 + mean / 10},
            dict.fromkeys(("si_sdr", "pesq"), 4),
            4,
        )
        for size, cost, mean in rows
    ]


def drawn(axes):
    """The points of the line through the sizes, and the heights of dashed lines."""
    solid = [line for line in axes.lines if line.get_linestyle() == "-"]
    dashed = [line.get_ydata()[0] for line in axes.lines if line not in solid]
    return [tuple(map(float, point)) for point in solid[0].get_xydata()], dashed


def test_a_task_has_a_panel_with_its_sizes_by_cost_and_its_input():
    scores = [entry for task in TASKS for entry in lines_of(task)]
    figure = size_figure(scores)
    assert [axes.get_title("left") for axes in figure.axes] == [
        f"{task}, n = 4" for task in TASKS
    ]
    for axes in figure.axes:
        points, dashed = drawn(axes)
        assert points == [(0.1, 5.0), (2.0, 7.0), (30.0, 8.0)]
        assert dashed == [1.0]
        assert axes.get_xscale() == "log" and axes.get_ylabel() == "SI-SDR [dB]"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["channels x blocks", "input"]
    # The lowest panel of each column says what its axis is.
    assert [bool(axes.get_xlabel()) for axes in figure.axes] == [
        False,
        True,
        True,
        True,
    ]


def test_each_metric_has_panels_where_it_has_values():
    silent = [
        entry._replace(means=entry.means | {"si_sdr": math.nan})
        for entry in lines_of("cancel_echo")
    ]
    figure = size_figure([*lines_of("denoise"), *silent], ["si_sdr", "pesq"])
    panels = [(axes.get_title("left"), axes.get_ylabel()) for axes in figure.axes]
    assert panels == [
        ("denoise, n = 4", "SI-SDR [dB]"),
        ("denoise, n = 4", "PESQ"),
        ("cancel_echo, n = 4", "PESQ"),
    ]
    assert drawn(figure.axes[2])[0][0] == (0.1, 1.5)


def test_a_panel_tells_that_its_sizes_have_different_utterances():
    scores = lines_of("denoise")
    scores[1] = scores[1]._replace(counts={"si_sdr": 3})
    assert size_figure(scores).axes[0].get_title("left") == "denoise, n = 3 to 4"


def test_without_an_input_there_is_no_dashed_line():
    figure = size_figure(lines_of("denoise")[:3])
    assert drawn(figure.axes[0])[1] == []


def test_a_figure_is_a_file_that_is_the_same_each_time(tmp_path):
    for name in ("a.png", "b.png"):
        save_figure(size_figure(lines_of("denoise")), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_what_has_no_value_cannot_be_drawn():
    nothing = [e._replace(means={"si_sdr": math.nan}) for e in lines_of("denoise")]
    with pytest.raises(ValueError, match="must have a value to draw"):
        size_figure(nothing)
    with pytest.raises(ValueError, match=r"metric \(mos\) must be among si_sdr, pesq"):
        size_figure(lines_of("denoise"), ["mos"])
