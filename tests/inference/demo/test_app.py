import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.inference.audio_files import read_audio
from sesame.inference.demo import app as demo
from sesame.inference.demo import build_app, launch

gradio = pytest.importorskip("gradio")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where gradio's cache and temporary folders go."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


@pytest.fixture
def noisy(folder):
    path = folder / "a.wav"
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 4000)
    soundfile.write(path, noise, 16000)
    return path


def _handler(app):
    return next(f.fn for f in app.fns.values() if f.api_name == "enhance")


def test_the_page_keeps_nothing_and_computes_one_request_at_a_time(enhancer):
    app = build_app(enhancer)
    assert not app.analytics_enabled
    assert app.delete_cache == (3600, 3600)
    assert app._queue.max_size == 16
    enhance = next(f for f in app.fns.values() if f.api_name == "enhance")
    assert app._queue.default_concurrency_limit == 1
    assert enhance.concurrency_limit in ("default", 1)
    assert not [b for b in app.blocks.values() if isinstance(b, gradio.State)]


def test_the_server_is_closed_by_default(tiny_model, monkeypatch):
    kept = {}
    monkeypatch.setattr(
        gradio.Blocks, "launch", lambda app, **given: kept.update(given)
    )
    launch(tiny_model, device="cpu")
    assert (kept["server_name"], kept["server_port"]) == ("127.0.0.1", 7860)
    assert kept["max_file_size"] == "50mb"
    for option in ("share", "show_error", "ssr_mode", "mcp_server", "run_history"):
        assert kept[option] is False
    assert not {"allowed_paths", "auth", "root_path"} & set(kept)


def test_the_shipped_model_is_the_default(monkeypatch):
    loaded = []

    def load(model, device):
        loaded.append(model)
        raise ValueError("stop here")

    monkeypatch.setattr(demo.Enhancer, "from_pretrained", load)
    with pytest.raises(ValueError, match="stop here"):
        launch()
    assert Path(loaded[0]).name == "sesame-small"


@pytest.mark.parametrize("missing", ["gradio", "matplotlib"])
def test_a_missing_package_is_named_with_its_remedy(enhancer, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"pip install '\.\[demo\]'"):
        build_app(enhancer)


@pytest.mark.parametrize("limit", ["max_seconds", "budget_seconds"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_limits_must_be_positive(enhancer, limit, value):
    with pytest.raises(ValueError, match="must be positive"):
        build_app(enhancer, **{limit: value})


def test_a_request_leaves_files_in_the_cache_only(enhancer, folder, noisy):
    enhance = _handler(build_app(enhancer))
    results = enhance(str(noisy), None, 60, 0)
    for path in results[:2]:
        assert path.startswith(str(folder / "cache"))
    assert not list((folder / "temporary").iterdir())


def test_a_failed_request_leaves_no_file(enhancer, folder, noisy):
    enhance = _handler(build_app(enhancer, max_seconds=0.1))
    with pytest.raises(gradio.Error, match=r"lasts more than 0\.1 s"):
        enhance(str(noisy), None, 60, 0)
    assert not list((folder / "temporary").iterdir())
    assert not list((folder / "cache").rglob("*.wav"))


def test_a_request_ends_with_its_time(enhancer, noisy):
    enhance = _handler(build_app(enhancer, budget_seconds=1e-6))
    with pytest.raises(gradio.Error, match="longer than the 1e-06 s"):
        enhance(str(noisy), None, 60, 0)


def test_a_request_without_a_file_says_what_to_do(enhancer):
    enhance = _handler(build_app(enhancer))
    with pytest.raises(gradio.Error, match="upload or record a noisy file first"):
        enhance(None, None, 60, 0)


def test_no_request_changes_the_next(enhancer, folder, noisy):
    other = folder / "b.wav"
    soundfile.write(other, np.random.default_rng(1).uniform(-0.3, 0.3, 3000), 8000)
    enhance = _handler(build_app(enhancer))
    first, _, again = (
        read_audio(enhance(str(path), None, 60, 0)[1]).waveform
        for path in (noisy, other, noisy)
    )
    np.testing.assert_array_equal(first, again)


def test_the_end_of_the_attenuation_slider_is_no_limit(enhancer, folder, noisy):
    enhance = _handler(build_app(enhancer))
    unlimited = read_audio(enhance(str(noisy), None, 60, 0)[1]).waveform
    enhancer.enhance_file(noisy, folder / "expected.wav")
    expected = read_audio(folder / "expected.wav").waveform
    np.testing.assert_array_equal(unlimited, expected)
    untouched = read_audio(enhance(str(noisy), None, 0, 0)[1]).waveform
    np.testing.assert_array_equal(untouched, read_audio(noisy).waveform)


def test_a_model_without_experts_says_so(enhancer, noisy, monkeypatch):
    monkeypatch.setattr(demo, "enhance_upload", _without_experts(demo.enhance_upload))
    note, plot = _handler(build_app(enhancer))(str(noisy), None, 60, 0)[-2:]
    assert "no mixture of experts" in note
    assert plot.visible is False


def _without_experts(original):
    return lambda *arguments: original(*arguments)._replace(experts=None)


def test_bundled_examples_are_pairs_that_exist():
    examples = demo._bundled_examples()
    assert examples
    for noisy, clean in examples:
        assert noisy != clean
        assert noisy.name == clean.name
        assert clean.is_file()


def test_examples_are_offered_by_name(enhancer, folder, noisy):
    app = build_app(enhancer, [(noisy, noisy)])
    datasets = [b for b in app.blocks.values() if isinstance(b, gradio.Dataset)]
    assert datasets[0].sample_labels == ["a"]


def test_a_taken_port_is_an_error(server, tiny_model):
    with pytest.raises(OSError, match=str(server.port)):
        launch(tiny_model, device="cpu", port=server.port)


def test_ctrl_c_stops_the_server_and_clears_its_cache(own_server):
    path = own_server.upload("a.wav", b"something").json()[0]
    assert own_server.status(f"/gradio_api/file={path}") == 200
    own_server.stop()
    assert own_server.process.returncode == 0
    assert not list(own_server.cache.rglob("a.wav"))
