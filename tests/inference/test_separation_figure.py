import numpy as np
import pytest

from sesame.inference import Separator, save_figure
from sesame.inference.separation_figure import mixture_figure
from sesame.inference.separation_routing import separation_routing

matplotlib = pytest.importorskip("matplotlib")
RATE = 16000
TITLES = ["mixture", "who speaks", "experts by frame", "experts by band"]


@pytest.fixture
def drawn(separator_folder):
    """A routing and its figure, by title."""

    def draw(length=2000, **changed):
        separator = Separator.from_pretrained(separator_folder(**changed).folder, "cpu")
        mixture = 0.1 * np.random.default_rng(0).standard_normal(length)
        routing = separation_routing(separator, mixture, RATE)
        figure = mixture_figure(routing)
        return routing, {axes.get_title("left"): axes for axes in figure.axes}

    return draw


@pytest.mark.parametrize("route", ["seq", "batch", "token"])
def test_experts_of_frames_are_below_and_those_of_bands_beside(drawn, route):
    routing, axes = drawn(route=route)
    assert list(axes) == TITLES
    time, frequency = routing.planes[:2], routing.planes[2:]
    below, beside = (frequency, time) if route == "seq" else (time, frequency)
    np.testing.assert_array_equal(
        axes["experts by frame"].images[0].get_array(), [p.by_frame() for p in below]
    )
    np.testing.assert_array_equal(
        axes["experts by band"].images[0].get_array().T, [p.by_band() for p in beside]
    )
    labels = [text.get_text() for text in axes["experts by band"].get_xticklabels()]
    assert labels == [plane.name for plane in beside]


def test_rows_lie_under_their_time_and_columns_beside_their_band(drawn):
    routing, axes = drawn()
    seconds, num_bands = 2000 / RATE, len(routing.band_edges)
    for title in TITLES[:3]:
        assert tuple(axes[title].images[0].get_extent()[:2]) == (0, seconds)
    for title in ("mixture", "experts by band"):
        limits = tuple(axes[title].images[0].get_extent()[2:])
        assert limits == (-0.5, num_bands - 0.5)
        assert axes[title].images[0].origin == "lower"
    assert axes["mixture"].images[0].get_array().shape[0] == num_bands


def test_one_colour_stands_for_each_expert(drawn):
    _, axes = drawn(num_experts=12)
    images = [axes[title].images[0] for title in TITLES[2:]]
    colours = [image.to_rgba(np.arange(12)).tolist() for image in images]
    assert colours[0] == colours[1]
    assert len({tuple(colour) for colour in colours[0]}) == 12


def test_dense_layers_are_left_out(drawn):
    _, axes = drawn(time_layer="conformer")
    assert list(axes) == TITLES[:3]
    _, axes = drawn(frequency_layer="rnn")
    assert list(axes) == [*TITLES[:2], TITLES[3]]
    with pytest.raises(ValueError, match="no mixture-of-experts layer"):
        drawn(time_layer="conformer", frequency_layer="conformer")


@pytest.mark.parametrize("length", [1, 5000])
def test_the_figure_is_written_for_short_and_long_mixtures(drawn, tmp_path, length):
    _, axes = drawn(length)
    save_figure(axes["mixture"].figure, tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 5000
