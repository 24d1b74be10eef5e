"""What torch's exporter does not know is the same in onnxruntime, at every size."""

import io
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from sesame.inference.onnx_operators import (
    OPSET,
    expand_operators,
    register_operators,
)
from sesame.nnet import Mamba
from sesame.nnet.selective_scan import selective_scan
from sesame.nnet.selective_scan.reference import scan_reference

onnx = pytest.importorskip("onnx", reason="pip install '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Constant folding"),
]


class Scan(nn.Module):
    def __init__(self, reverse):
        super().__init__()
        self.reverse = reverse

    def forward(self, *inputs):
        return selective_scan(*inputs, reverse=self.reverse)


def scan_inputs(count, steps, channels=5, states=3):
    generator = torch.Generator().manual_seed(steps)
    wide, slim = (count, steps, channels), (count, steps, states)
    sizes = [wide, wide, (channels, states), slim, slim, (channels,)]
    u, delta, A, *rest = (torch.randn(*size, generator=generator) for size in sizes)
    return [u, nn.functional.softplus(delta), -A.exp(), *rest]


def export(module, *inputs, dynamic):
    """The module as an ONNX model, its first two dimensions dynamic where told."""
    register_operators()
    buffer, names = io.BytesIO(), [f"input_{i}" for i in range(len(inputs))]
    torch.onnx.export(
        module.eval(),
        inputs,
        buffer,
        dynamo=False,
        opset_version=OPSET,
        input_names=names,
        output_names=["y"],
        dynamic_axes={names[i]: {0: "n", 1: "s"} for i in dynamic},
    )
    return expand_operators(onnx.load_model_from_string(buffer.getvalue()))


def run(model, *inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [node.name for node in session.get_inputs()]
    feed = {n: x.detach().numpy() for n, x in zip(names, inputs, strict=True)}
    return session.run(None, feed)[0]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_holds_at_every_length_and_batch(reverse):
    model = export(Scan(reverse), *scan_inputs(2, 4), dynamic=(0, 1, 3, 4))
    for count, steps in itertools.product((1, 3), (1, 2, 7, 90)):
        inputs = scan_inputs(count, steps)
        expected = scan_reference(*(x.double() for x in inputs), reverse)
        np.testing.assert_allclose(run(model, *inputs), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_mixer_is_one_loop_of_known_operators(reverse):
    torch.manual_seed(0)
    mixer = Mamba(channels=6, reverse=reverse)
    model = export(mixer, torch.randn(2, 3, 6), dynamic=(0,))
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert [node.op_type for node in model.graph.node].count("Scan") == 1
    assert not model.functions
    for count, steps in itertools.product((1, 3), (1, 2, 5, 33)):
        x = torch.randn(count, steps, 6)
        with torch.no_grad():
            expected = mixer(x)
        np.testing.assert_allclose(run(model, x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [[6], [5, 6]])
def test_an_rms_norm_keeps_its_axes_weights_and_epsilon(shape):
    torch.manual_seed(0)
    norm = nn.RMSNorm(shape, eps=1e-2)
    nn.init.normal_(norm.weight)
    model = export(norm, torch.randn(2, 5, 6), dynamic=(0,))
    x = 0.1 * torch.randn(4, 5, 6)
    np.testing.assert_allclose(run(model, x), norm(x).detach(), rtol=1e-5, atol=1e-6)
