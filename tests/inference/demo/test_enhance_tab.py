import numpy as np
import pytest
import soundfile

from sesame.inference.audio_files import read_audio
from sesame.inference.demo import enhance_tab
from sesame.inference.demo.answers import Limits
from sesame.inference.demo.enhance_tab import add_enhance_tab

gradio = pytest.importorskip("gradio")


@pytest.fixture
def build(enhancer, folder, handler):
    """Makes the tab, and returns what its button does."""

    def make(max_seconds=2.0, budget_seconds=60.0):
        with gradio.Blocks(analytics_enabled=False) as page:
            add_enhance_tab(gradio, enhancer, Limits(max_seconds, budget_seconds))
        return handler(page, "enhance")

    return make


def test_a_request_leaves_files_in_the_cache_only(build, folder, noisy):
    results = build()(str(noisy), None, 60, 0)
    for path in results[:2]:
        assert path.startswith(str(folder / "cache"))
    assert not list((folder / "temporary").iterdir())


def test_a_failed_request_leaves_no_file(build, folder, noisy):
    enhance = build(max_seconds=0.1)
    with pytest.raises(gradio.Error, match=r"lasts more than 0\.1 s"):
        enhance(str(noisy), None, 60, 0)
    assert not list((folder / "temporary").iterdir())
    assert not list((folder / "cache").rglob("*.wav"))


def test_a_request_ends_with_its_time(build, noisy):
    enhance = build(budget_seconds=1e-6)
    with pytest.raises(gradio.Error, match="longer than the 1e-06 s"):
        enhance(str(noisy), None, 60, 0)


def test_a_request_without_a_file_says_what_to_do(build):
    enhance = build()
    with pytest.raises(gradio.Error, match="upload or record a noisy file first"):
        enhance(None, None, 60, 0)


def test_no_request_changes_the_next(build, folder, noisy):
    enhance = build()
    other = folder / "b.wav"
    soundfile.write(other, np.random.default_rng(1).uniform(-0.3, 0.3, 3000), 8000)
    first, _, again = (
        read_audio(enhance(str(path), None, 60, 0)[1]).waveform
        for path in (noisy, other, noisy)
    )
    np.testing.assert_array_equal(first, again)


def test_the_end_of_the_attenuation_slider_is_no_limit(build, enhancer, folder, noisy):
    enhance = build()
    unlimited = read_audio(enhance(str(noisy), None, 60, 0)[1]).waveform
    enhancer.enhance_file(noisy, folder / "expected.wav")
    expected = read_audio(folder / "expected.wav").waveform
    np.testing.assert_array_equal(unlimited, expected)
    untouched = read_audio(enhance(str(noisy), None, 0, 0)[1]).waveform
    np.testing.assert_array_equal(untouched, read_audio(noisy).waveform)


def test_a_model_without_experts_says_so(build, noisy, monkeypatch):
    original = enhance_tab.enhance_upload
    monkeypatch.setattr(enhance_tab, "enhance_upload", _without_experts(original))
    note, plot = build()(str(noisy), None, 60, 0)[-2:]
    assert "no mixture of experts" in note
    assert plot.visible is False


def _without_experts(original):
    return lambda *arguments: original(*arguments)._replace(experts=None)


def test_the_page_tells_the_model_and_the_limits(enhancer):
    with gradio.Blocks(analytics_enabled=False) as page:
        add_enhance_tab(gradio, enhancer, Limits(7.0, 60.0), model_name="small")
    texts = [b.value for b in page.blocks.values() if isinstance(b, gradio.Markdown)]
    assert "Model: small." in texts[0]
    assert "up to 7 s" in texts[0]
