import json

import pytest

from sesame.inference.model_config import build_model, complete_arguments, read_model
from sesame.models.seflow import SEFlow
from sesame.models.tf_moe import TFMoE

ARGUMENTS = {"n_fft": 64, "hop_length": 16, "num_bands": 6, "channels": 4}
ARGUMENTS |= {"num_blocks": 1, "num_experts": 3}


@pytest.fixture
def config(separators):
    return {
        "format": 1,
        "model": "TFMoE",
        "arguments": dict(ARGUMENTS),
        "transform": None,
        "sample_rate": 16000,
    }


def test_a_separator_is_built_with_its_own_transform(config):
    model = read_model(json.dumps(config), "config.json")
    assert type(model.network) is TFMoE and model.transform is None
    assert model.separator() == (model.network, 16000)
    with pytest.raises(ValueError, match="TFMoE separates speakers, it does not"):
        model.enhancer()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"transform": {"n_fft": 64}}, r"transform \(.*\) must be null: TFMoE has"),
        ({"sample_rate": 8000}, r"sample_rate \(16000\) of TFMoE .* \(8000\)"),
        ({"model": "BandSplitSeparator"}, "model .* must be one of .*TFMoE"),
        ({"arguments": {"route": "random"}}, "TFMoE with .*route"),
        ({"arguments": {"stft": 1}}, "TFMoE: unknown: stft"),
    ],
)
def test_a_separator_that_does_not_fit_is_refused(config, change, reason):
    with pytest.raises(ValueError, match=reason):
        build_model(config | change)


def test_an_enhancer_needs_a_transform(config):
    enhancer = {"model": "MPSENet", "arguments": {"num_blocks": 1, "channels": 4}}
    with pytest.raises(ValueError, match=r"transform \(None\) must be a mapping"):
        build_model(config | enhancer)
    sizes = {"n_fft": 400, "hop_length": 100, "win_length": 400, "exponent": 0.3}
    model = build_model(config | enhancer | {"transform": sizes})
    assert model.enhancer()[1].n_fft == 400
    with pytest.raises(ValueError, match="MPSENet enhances speech, it does not"):
        model.separator()


def test_what_is_no_system_has_no_arguments(separators):
    assert complete_arguments("TFMoE", {})["num_experts"] == 12
    for name in ("MetricDiscriminator", "BandSplitSeparator", None, ["TFMoE"]):
        with pytest.raises(ValueError, match="must be one of"):
            complete_arguments(name, {})


def test_a_text_that_is_no_json_is_named(separators):
    with pytest.raises(ValueError, match="metadata is not JSON"):
        read_model("{", "metadata")


FLOW = {
    "format": 1,
    "model": "SEFlow",
    "arguments": {"width": 8, "depth": 1, "head_channels": 4},
    "transform": None,
    "sample_rate": None,
}
PARENT = {"sha256": "0f" * 32, "width": 0.5, "depth": 1}


def test_a_seflow_has_neither_transform_nor_rate():
    model = build_model(FLOW)
    assert model.seflow() is model.network and type(model.network) is SEFlow
    assert model[1:] == (None, None)
    for part in (model.enhancer, model.separator):
        with pytest.raises(ValueError, match="SEFlow enhances at any sampling rate: "):
            part()


def test_other_networks_are_no_seflow(config):
    with pytest.raises(ValueError, match="TFMoE separates speakers, it does not"):
        build_model(config).seflow()
    with pytest.raises(ValueError, match=r"parent .* must not be there: TFMoE"):
        build_model(config | {"parent": PARENT})
    with pytest.raises(ValueError, match=r"sample_rate \(None\) must be a whole"):
        build_model(config | {"sample_rate": None})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sample_rate": 16000}, r"sample_rate \(16000\) of SEFlow must be null"),
        ({"transform": {}}, r"transform \({}\) must be null: SEFlow has"),
        ({"arguments": {"width": 7}}, r"SEFlow with .*width \(7\)"),
        ({"parent": None}, r"parent \(None\) must be a mapping"),
        ({"parent": {}}, "parent: missing: sha256, width, depth"),
        ({"parent": PARENT | {"name": "x"}}, "parent: unknown: name"),
        ({"parent": PARENT | {"sha256": "0" * 63}}, r"sha256 \('0+'\) must be 64"),
        ({"parent": PARENT | {"width": 0}}, r"width \(0\) must be a number"),
        ({"parent": PARENT | {"width": True}}, r"width \(True\) must be a number"),
        ({"parent": PARENT | {"depth": 1.0}}, r"depth \(1.0\) must be an integer"),
    ],
)
def test_a_seflow_that_does_not_fit_is_refused(change, reason):
    build_model(FLOW | {"parent": PARENT})
    with pytest.raises(ValueError, match=reason):
        build_model(FLOW | change)
