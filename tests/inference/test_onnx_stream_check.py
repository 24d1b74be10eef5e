"""The check of an exported step finds what is wrong, and only that."""

import numpy as np
import pytest
import torch

from sesame.inference.onnx_stream import OnnxStream, export_stream_onnx
from sesame.inference.onnx_stream_check import check_stream_onnx

pytest.importorskip("onnx", reason="pip install '.[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")
RATE, SIZE = 8000, (0.5, 2)


@pytest.fixture
def export(flow_network, tmp_path):
    def write(far_end=False, enrollment=False, network=flow_network):
        path = tmp_path / "step.onnx"
        export_stream_onnx(network, path, RATE, *SIZE, far_end, enrollment)
        return path

    return write


@pytest.mark.parametrize("far_end", [False, True])
@pytest.mark.parametrize("enrollment", [False, True])
def test_a_file_is_its_network(flow_network, export, far_end, enrollment):
    checks = check_stream_onnx(flow_network, export(far_end, enrollment), *SIZE)
    assert [check.voice for check in checks] == ([False, True][: 1 + enrollment])
    assert all(check.num_hops == 150 for check in checks)
    assert all(0 < check.difference < 1e-5 for check in checks)
    assert all(check.within(1e-4) for check in checks)


@pytest.mark.parametrize("name", ["role", "decoder"])
def test_other_weights_are_found(flow_network, export, name):
    path = export(enrollment=True)
    with torch.no_grad():
        for key, parameter in flow_network.named_parameters():
            if key.startswith(name):
                parameter += 0.1
    plain, voiced = check_stream_onnx(flow_network, path, *SIZE)
    # The role is heard with a voice alone, whose tokens torch gives to both.
    assert plain.within(1e-4) == (name == "role")
    assert voiced.within(1e-4) == (name == "role")


def test_a_difference_after_a_second_is_found(flow_network, export, monkeypatch):
    path, step = export(), OnnxStream.step
    hop = RATE // 100

    def late(model, x, state, far_end=None):
        y, state = step(model, x, state, far_end)
        y[:, 120 * hop :] += 0.01
        return y, state

    monkeypatch.setattr(OnnxStream, "step", late)
    (check,) = check_stream_onnx(flow_network, path, *SIZE)
    assert not check.within(1e-4)
    (check,) = check_stream_onnx(flow_network, path, *SIZE, seconds=1.2)
    assert check.within(1e-4)


@pytest.mark.parametrize("length", [1, 500, 100_000])
def test_a_signal_of_any_length_is_listened_to(flow_network, export, length):
    signal = 0.1 * np.random.default_rng(1).standard_normal(length)
    (check,) = check_stream_onnx(flow_network, export(), *SIZE, signal, seconds=0.2)
    assert check.num_hops == 20
    assert check.within(1e-4)


def test_silence_can_be_listened_to(flow_network, export):
    (check,) = check_stream_onnx(flow_network, export(), *SIZE, np.zeros(9), 0.2)
    assert check.within(1e-5)
