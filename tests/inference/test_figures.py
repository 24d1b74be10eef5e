import sys

import numpy as np
import pytest

from sesame.inference.figures import (
    COLOURS,
    routing_figure,
    save_figure,
    showcase_figure,
    spectrogram_figure,
)
from sesame.inference.routing import ExpertMap

matplotlib = pytest.importorskip("matplotlib")


def noise(length=8000, gain=0.1):
    return gain * np.random.default_rng(0).standard_normal(length)


def layer(num_experts=4):
    ids = np.random.default_rng(1).integers(0, num_experts, (2, 17, 50))
    load = np.bincount(ids.ravel(), minlength=num_experts) / ids.size
    return ExpertMap("block 1, time layer", ids, load, 16000)


def test_every_signal_has_a_row_on_the_scale_of_the_loudest():
    signals = {"noisy": noise(), "enhanced": noise(gain=0.01), "clean": noise(4000)}
    figure = spectrogram_figure(signals, 16000)
    assert [axes.get_title("left") for axes in figure.axes] == list(signals)
    limits = {axes.images[0].get_clim() for axes in figure.axes}
    assert len(limits) == 1
    loud, quiet, _ = (axes.images[0].get_array().data for axes in figure.axes)
    assert loud.max() == pytest.approx(limits.pop()[1])
    # Not everywhere: the faintest bins of the quiet one meet the floor.
    assert np.median(loud - quiet) == pytest.approx(20, abs=1e-3)


def test_a_tone_at_full_scale_has_0_db_at_its_frequency():
    tone = np.sin(2 * np.pi * 2000 * np.arange(16000) / 16000)
    image = spectrogram_figure({"tone": tone}, 16000).axes[0].images[0]
    column = image.get_array()[:, 60]
    assert column.max() == pytest.approx(0, abs=1e-3)
    assert column.argmax() / (len(column) - 1) * 8000 == 2000
    assert tuple(image.get_extent()) == (0, 1, 0, 8)


def test_the_routing_figure_shows_the_first_choices_as_they_are():
    figure = routing_figure(noise(), 16000, [layer(), layer(3)])
    assert len(figure.axes) == 3
    for axes, expected in zip(figure.axes[1:], [layer(), layer(3)], strict=True):
        image = axes.images[0]
        np.testing.assert_array_equal(image.get_array(), expected.expert_ids[0])
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        shares = [f"{e}: {100 * s:.0f} %" for e, s in enumerate(expected.load)]
        assert legend == shares
        colours = matplotlib.colors.to_rgba_array(COLOURS[: len(expected.load)])
        experts = np.arange(len(expected.load))
        np.testing.assert_allclose(image.to_rgba(experts), colours, atol=0.01)


def test_many_experts_have_colours_of_their_own():
    image = routing_figure(noise(), 16000, [layer(32)]).axes[1].images[0]
    assert len({tuple(c) for c in image.to_rgba(np.arange(32)).tolist()}) == 32


def test_the_showcase_has_a_row_per_signal_and_per_layer():
    signals = {"noisy": noise(), "enhanced": noise(), "clean": noise()}
    figure = showcase_figure(signals, 16000, [layer(), layer()])
    assert len(figure.axes) == 5
    assert len(figure.axes[-1].collections) == 4
    assert len(showcase_figure(signals, 16000, []).axes) == 3


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_figures_are_written_as_their_suffix_says(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    save_figure(routing_figure(noise(), 16000, [layer()]), path)
    start = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix]
    assert path.read_bytes().startswith(start)
    assert path.stat().st_size > 5000
    assert list(tmp_path.iterdir()) == [path]


def test_drawing_leaves_the_state_of_matplotlib_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    save_figure(spectrogram_figure({"a": np.zeros(100)}, 8000), tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"suffix of .*a\.doc must be one of .*png"):
        save_figure(spectrogram_figure({"a": noise()}, 16000), tmp_path / "a.doc")


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="at least one signal"):
        spectrogram_figure({}, 16000)
    with pytest.raises(ValueError, match="no mixture-of-experts layer"):
        routing_figure(noise(), 16000, [])
    with pytest.raises(ValueError, match=r"signal 'a' \(2, 100\) must be \(L,\)"):
        spectrogram_figure({"a": np.zeros((2, 100))}, 16000)


def test_without_matplotlib_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[plot\]'"):
        spectrogram_figure({"a": noise()}, 16000)
