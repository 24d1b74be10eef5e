"""Encoder and decoders of 2023 compute what those of SEMamba do."""

import pytest
import torch
from torch import nn

from sesame.compat.codec import convert_codec
from sesame.nnet import DenseEncoder2023, MagnitudeMaskDecoder2023, PhaseDecoder2023

PARTS = ("dense_encoder.", "mask_decoder.", "phase_decoder.")
# The decoders start from a stored float32 intermediate: its rounding (6e-8 of values up
# to 10) is all that separates a float64 run from the authors', and grows in the phase.
PHASE_TOLERANCE = 5e-6


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture
def data(golden, dtype):
    return golden("semamba_generator", dtype)


@pytest.fixture
def codec(data, dtype):
    modules = nn.ModuleDict(
        {
            "encoder": DenseEncoder2023(16),
            "mask_decoder": MagnitudeMaskDecoder2023(16, 201),
            "phase_decoder": PhaseDecoder2023(16),
        }
    ).to(dtype)
    weights = {k: w for k, w in data["weights"].items() if k.startswith(PARTS)}
    modules.load_state_dict(convert_codec(weights, "2023"))
    return modules


def test_encoder_equals_the_authors(data, codec, dtype, difference):
    magnitude, phase = data["input"]["noisy_mag"], data["input"]["noisy_pha"]
    ours = codec["encoder"](torch.stack((magnitude.mT, phase.mT), 1))
    tolerance = 2e-6 if dtype == torch.float64 else 5e-5
    assert difference(ours, data["output"]["stage.encoder"]) < tolerance


def test_mask_equals_the_authors(data, codec, dtype, difference):
    ours = codec["mask_decoder"](data["output"]["stage.block1"])
    tolerance = 1e-6 if dtype == torch.float64 else 1e-5
    assert difference(ours, data["output"]["mask"]) < tolerance


def test_phase_equals_the_authors(data, codec, dtype, angle):
    ours = codec["phase_decoder"](data["output"]["stage.block1"])
    tolerance = PHASE_TOLERANCE if dtype == torch.float64 else 5e-4
    assert angle(ours, data["output"]["pha_g"]) < tolerance


def test_real_and_imaginary_parts_equal_the_authors(data, codec, dtype, difference):
    decoder = codec["phase_decoder"]
    real, imaginary = decoder.project(data["output"]["stage.block1"]).unbind(1)
    tolerance = 1e-6 if dtype == torch.float64 else 1e-5
    assert difference(real.mT, data["output"]["phase_r"][:, 0]) < tolerance
    assert difference(imaginary.mT, data["output"]["phase_i"][:, 0]) < tolerance
