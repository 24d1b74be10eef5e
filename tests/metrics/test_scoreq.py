import sys

import numpy as np
import pytest

from sesame.metrics import scoreq

RATE = 16000
TONE = 0.5 * np.sin(np.arange(1, 16002) / 9)


def save_model(path, answer, shape):
    """A network of the inputs and outputs of the published one, with few nodes."""
    onnx = pytest.importorskip("onnx")
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    nodes = {
        "length": [
            helper.make_node("Shape", ["audio_input"], ["shape"], start=1, end=2),
            helper.make_node("Cast", ["shape"], ["mos_output"], to=real),
        ],
        "peak": [
            helper.make_node("ReduceMax", ["audio_input"], ["mos_output"], keepdims=1)
        ],
        "waveform": [helper.make_node("Identity", ["audio_input"], ["mos_output"])],
    }
    graph = helper.make_graph(
        nodes[answer],
        "stand_in",
        [helper.make_tensor_value_info("audio_input", real, ["batch_size", "samples"])],
        [helper.make_tensor_value_info("mos_output", real, shape)],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


@pytest.mark.parametrize(("length", "padded"), [(16001, 16320), (320, 320), (1, 320)])
def test_the_network_hears_a_multiple_of_320_samples(tmp_path, length, padded):
    pytest.importorskip("onnxruntime")
    path = save_model(tmp_path / "m.onnx", "length", [1])
    assert scoreq(TONE[:length], RATE, path) == (padded, "")


def test_the_network_hears_the_samples_at_their_level(tmp_path):
    pytest.importorskip("onnxruntime")
    path = save_model(tmp_path / "m.onnx", "peak", ["batch_size", 1])
    assert scoreq(TONE, RATE, path).value == pytest.approx(TONE.max(), abs=1e-7)
    half = (TONE * 16384).astype(np.int16)
    assert scoreq(half, RATE, str(path)).value == pytest.approx(0.25, abs=1e-4)


def test_a_network_for_pairs_is_told_from_one_without_reference(tmp_path):
    pytest.importorskip("onnxruntime")
    path = save_model(tmp_path / "m.onnx", "waveform", ["batch_size", "samples"])
    score = scoreq(TONE, RATE, path)
    assert np.isnan(score.value)
    assert "use adapt_nr_telephone.onnx" in score.reason


def test_a_file_of_something_else_is_a_reason(tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "m.onnx"
    path.write_text("no network")
    score = scoreq(TONE, RATE, path)
    assert np.isnan(score.value)
    assert score.reason.startswith("SCOREQ failed: ") and "\n" not in score.reason


def test_what_is_missing_is_a_reason_with_the_fix(tmp_path, monkeypatch):
    assert scoreq(TONE, RATE, None).reason.startswith("the weights are missing: ")
    absent = scoreq(TONE, RATE, tmp_path / "absent.onnx").reason
    assert "absent.onnx" in absent and "--scoreq-weights FILE" in absent
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "m.onnx").touch()
    reason = scoreq(TONE, RATE, tmp_path / "m.onnx").reason
    assert reason.startswith("package onnxruntime is missing: pip install")


def test_signals_that_cannot_be_scored_never_reach_the_network(tmp_path):
    (tmp_path / "m.onnx").touch()
    assert scoreq(0 * TONE, RATE, tmp_path / "m.onnx").reason == "estimate is silent"
    assert "must be 16000 Hz" in scoreq(TONE, 8000, tmp_path / "m.onnx").reason
