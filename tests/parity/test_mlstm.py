"""The mLSTM mixer, its norm and its residual compute what the authors' block does."""

import pytest
import torch
from torch import nn

from sesame.compat.codec import rename
from sesame.compat.mlstm import DIRECTION_RULES, add_one_to_norms
from sesame.nnet import mlstm
from sesame.nnet.mlstm import MLSTM


def convert(official):
    renamed = {rename(name, DIRECTION_RULES): value for name, value in official.items()}
    return add_one_to_norms(renamed)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture
def tolerance(dtype):
    return 2e-6 if dtype == torch.float64 else 2e-5


@pytest.fixture
def data(golden, dtype):
    return golden("xlstm_mlstm_block", dtype)


@pytest.fixture
def block(data, dtype):
    modules = nn.ModuleDict({"norm": nn.LayerNorm(16), "mixer": MLSTM(16)}).to(dtype)
    modules.load_state_dict(convert(data["weights"]))
    return modules


def test_layer_and_block_equal_the_authors(data, block, dtype, difference):
    x = data["input"]["x"]
    layer = block["mixer"](block["norm"](x))
    tolerance = 1e-6 if dtype == torch.float64 else 2e-5
    assert difference(layer, data["output"]["layer"]) < tolerance
    assert difference(x + layer, data["output"]["y"]) < tolerance


def test_convolution_equals_the_authors(data, block, difference, tolerance):
    mixer = block["mixer"]
    inputs, _ = mixer.in_projection(block["norm"](data["input"]["x"])).chunk(2, -1)
    assert difference(mixer.conv(inputs), data["output"]["conv"]) < tolerance


def test_cell_equals_the_authors(data, block, difference, tolerance, monkeypatch):
    names = ("q", "k", "v", "igate_preact", "fgate_preact", "h")
    cell, stages = mlstm.mlstm_cell, {}

    def recording(*arguments):
        y = cell(*arguments)
        stages.update(zip(names, (*arguments, y), strict=True))
        return y

    monkeypatch.setattr(mlstm, "mlstm_cell", recording)
    block["mixer"].out_norm.register_forward_hook(
        lambda module, arguments, y: stages.update(h_norm=y)
    )
    block["mixer"](block["norm"](data["input"]["x"]))
    assert difference(stages.pop("h_norm"), data["output"]["cell.h_norm"]) < tolerance
    for name, ours in stages.items():
        theirs = data["output"][f"cell.{name}"]
        ours = ours.transpose(0, 1).reshape(theirs.shape)
        assert difference(ours, theirs) < tolerance, name


def test_gradients_equal_the_authors(data, block, dtype, difference, tolerance):
    x = data["input"]["x"].requires_grad_()
    (x + block["mixer"](block["norm"](x))).square().sum().backward()
    theirs = {
        name.removeprefix("grad."): value
        for name, value in data["output"].items()
        if name.startswith("grad.")
    }
    of_input = theirs.pop("x")
    theirs = {rename(name, DIRECTION_RULES): value for name, value in theirs.items()}
    theirs["x"] = of_input
    ours = {name: parameter.grad for name, parameter in block.named_parameters()}
    ours["x"] = x.grad
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        error = difference(ours[name], gradient) / gradient.abs().max().item()
        assert error < tolerance, name
