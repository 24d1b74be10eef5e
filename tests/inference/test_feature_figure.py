import sys

import numpy as np
import pytest

from sesame.inference.feature_figure import feature_figure, read_points, write_points
from sesame.inference.feature_map import MapPoint

matplotlib = pytest.importorskip("matplotlib")
HEADER = "model,set,file,frame,x,y\n"


def points_of(model, dataset, count=5, seed=0):
    plane = np.random.default_rng(seed).standard_normal((count, 2))
    return [MapPoint(model, dataset, "a.wav", i, *xy) for i, xy in enumerate(plane)]


def test_points_come_back_to_six_digits(tmp_path):
    points = points_of("a, b", 'te"st')
    points += [MapPoint("ü", "set\n2", "\udcff/x.wav", None, 1e-7, -123456.0)]
    write_points(points, tmp_path / "tsne.csv")
    read = read_points(tmp_path / "tsne.csv")
    assert [point[:4] for point in read] == [point[:4] for point in points]
    for got, expected in zip(read, points, strict=True):
        np.testing.assert_allclose(got[4:], expected[4:], rtol=1e-5)
    assert list(tmp_path.iterdir()) == [tmp_path / "tsne.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have the columns model, set, file, frame, x, y"),
        ("model,x,y\na,1,2\n", "must have the columns"),
        (HEADER, "at least one point"),
        (HEADER + "a,b,c,1,2.0,3.0\na,b,c,1,2.0\n", "line 3, is not a point"),
        (HEADER + "a,b,c,1,2.0,three\n", "line 2, is not a point: .*three"),
        (HEADER + "a,b,c,first,2.0,3.0\n", "line 2, is not a point"),
        (HEADER + "a,b,c,1,nan,3.0\n", "line 2: coordinates must be finite"),
        ("x" * 200_000, "must be a CSV file"),
    ],
)
def test_a_file_that_is_no_map_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "tsne.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"tsne.csv.*{message}"):
        read_points(path)


def test_a_model_has_a_panel_and_a_set_a_colour_in_all_of_them():
    points = [
        point
        for model in ("one", "two", "three", "four")
        for dataset in ("inside", "outside")
        for point in points_of(model, dataset, seed=len(model + dataset))
    ]
    figure = feature_figure(points)
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["one", "two", "three", "four"]
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["inside", "outside"]
    colours = [tuple(h.get_facecolor()[0][:3]) for h in legend.legend_handles]
    assert len(set(colours)) == 2
    for axes, model in zip(figure.axes, titles, strict=True):
        drawn = axes.collections[0]
        shown = {
            (*xy, *colour[:3])
            for xy, colour in zip(
                drawn.get_offsets().tolist(), drawn.get_facecolors(), strict=True
            )
        }
        expected = {
            (p.x, p.y, *colours[p.dataset == "outside"])
            for p in points
            if p.model == model
        }
        assert shown == expected


def test_letters_are_readable_and_many_sets_have_colours_of_their_own():
    points = [p for i in range(12) for p in points_of("m", f"set {i}", 1, i)]
    figure = feature_figure(points)
    texts = [*figure.legends[0].get_texts(), figure.axes[0].title]
    assert all(text.get_fontsize() >= 10 for text in texts)
    drawn = figure.axes[0].collections[0].get_facecolors()
    assert len({tuple(colour) for colour in drawn.tolist()}) == 12


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="at least one point"):
        feature_figure([])


def test_without_matplotlib_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[plot\]'"):
        feature_figure(points_of("m", "a"))
