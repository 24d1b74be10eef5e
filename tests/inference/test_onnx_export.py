"""The exported network is the network, at every length and batch."""

import numpy as np
import pytest
import torch

from sesame.inference import load_model_folder, onnx_export, save_model_folder
from sesame.inference.onnx_export import Parity, check_onnx, export_onnx
from sesame.inference.onnx_network import OnnxNetwork, weights_digest
from sesame.models import MPSENet

onnx = pytest.importorskip("onnx", reason="pip install '.[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")


@pytest.fixture
def make_folder(tiny, tmp_path):
    """A model folder of the tiny network with other arguments or another class."""

    def make(system=None, **arguments):
        system = system or type(tiny.network)
        if system is type(tiny.network):
            arguments = tiny.arguments | arguments
        torch.manual_seed(0)
        save_model_folder(
            tmp_path / "other",
            system.__name__,
            arguments,
            tiny.transform_arguments,
            16000,
            system(**arguments).state_dict(),
        )
        return tmp_path / "other"

    return make


def draw(batch, frames):
    generator = torch.Generator().manual_seed(frames)
    magnitude = torch.rand(batch, 33, frames, generator=generator)
    return 2 * magnitude, 6 * torch.rand(batch, 33, frames, generator=generator) - 3


def assert_same_network(folder, path, shapes, slack=1.0):
    network, exported = load_model_folder(folder)[0], OnnxNetwork(path)
    for shape in shapes:
        spectrum = draw(*shape)
        with torch.no_grad():
            magnitude, phase = network(*spectrum)
        other_magnitude, other_phase = exported(*spectrum)
        torch.testing.assert_close(
            other_magnitude, magnitude, rtol=0, atol=1e-5 * slack
        )
        # Where the decoder's outputs nearly vanish, their rounding errors turn the
        # phase; what is added up to a waveform are magnitudes with phases.
        torch.testing.assert_close(
            torch.polar(other_magnitude, other_phase),
            torch.polar(magnitude, phase),
            rtol=0,
            atol=2e-4 * slack,
        )


SHAPES = [(1, 1), (1, 2), (1, 40), (2, 7), (3, 101)]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"moe_blocks": [0, 1], "expert_hidden_dim": 3},
        {"num_experts": 70, "top_k": 3, "noise_context_dim": 0},
        {"num_experts": 1, "top_k": 1},
    ],
    ids=["linear", "hidden", "many", "one"],
)
def test_exported_sesame_equals_the_original(make_folder, tmp_path, arguments):
    folder, path = make_folder(**arguments), tmp_path / "model.onnx"
    export_onnx(folder, path)
    assert_same_network(folder, path, SHAPES)


@pytest.mark.parametrize("axis_order", ["time_frequency", "frequency_time"])
def test_exported_mp_senet_equals_the_original(make_folder, tmp_path, axis_order):
    folder = make_folder(
        MPSENet,
        num_bins=33,
        channels=4,
        num_blocks=2,
        num_heads=2,
        dense_depth=3,
        axis_order=axis_order,
    )
    export_onnx(folder, tmp_path / "model.onnx")
    assert_same_network(folder, tmp_path / "model.onnx", SHAPES)


def test_every_exported_system_equals_the_original(system, tmp_path):
    export_onnx(system.folder, tmp_path / "model.onnx")
    # The gates of an mLSTM magnify rounding errors: torch in float32 is 5e-5 from
    # torch in float64, and onnxruntime no farther.
    slack = 10.0 if "XLSTM" in system.key else 1.0
    assert_same_network(system.folder, tmp_path / "model.onnx", SHAPES, slack)


def test_the_file_is_complete_and_of_the_promised_opset(model_folder, tmp_path):
    export_onnx(model_folder, tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "sesame.format": "1",
        "model.config": (model_folder / "config.json").read_text(),
        "model.weights": weights_digest(model_folder),
    }
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    for value in [*model.graph.input, *model.graph.output]:
        batch, bins, frames = value.type.tensor_type.shape.dim
        assert (batch.dim_param, bins.dim_value) == ("batch", 33)
        assert frames.dim_param == "frames"
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".onnx"] == ["model.onnx"]


def test_attention_weights_of_one_sequence_exist_at_a_time(model_folder, tmp_path):
    export_onnx(model_folder, tmp_path / "model.onnx")
    nodes = onnx.load(tmp_path / "model.onnx").graph.node
    attention = [n.op_type for n in nodes if n.name.endswith("attention/Softmax")]
    assert attention == ["Scan"] * 4  # two halves of two blocks


def test_the_same_model_gives_the_same_bytes(model_folder, tmp_path):
    for name in ("a.onnx", "b.onnx"):
        export_onnx(model_folder, tmp_path / name)
    one, other = ((tmp_path / name).read_bytes() for name in ("a.onnx", "b.onnx"))
    assert one == other


def test_an_existing_file_is_replaced_only_if_told(model_folder, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("precious")
    with pytest.raises(ValueError, match="exists; overwrite=True replaces it"):
        export_onnx(model_folder, path)
    assert path.read_text() == "precious"
    export_onnx(model_folder, path, overwrite=True)
    OnnxNetwork(path)


def test_a_failed_export_leaves_nothing(model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "_to_onnx", lambda *_: b"\xff" * 9)
    with pytest.raises(Exception, match="pars"):
        export_onnx(model_folder, tmp_path / "new" / "model.onnx")
    assert not (tmp_path / "new").exists()


def test_another_suffix_is_refused(model_folder, tmp_path):
    with pytest.raises(ValueError, match=r"suffix of .* must be \.onnx"):
        export_onnx(model_folder, tmp_path / "model.bin")


def test_the_check_passes_at_three_lengths(model_folder, tmp_path):
    export_onnx(model_folder, tmp_path / "model.onnx")
    noisy = np.random.default_rng(1).standard_normal(3000)
    seconds = (0.0, 0.1, 0.25)
    checks = check_onnx(model_folder, tmp_path / "model.onnx", noisy, seconds)
    assert [check.num_frames for check in checks] == [1, 101, 251]
    assert all(check.magnitude < 1e-5 for check in checks)
    assert all(check.spectrum < 1e-4 for check in checks)


def test_the_check_notices_other_weights(make_folder, model_folder, tiny, tmp_path):
    export_onnx(model_folder, tmp_path / "model.onnx")
    other = make_folder(dense_depth=2)
    checks = check_onnx(other, tmp_path / "model.onnx", seconds=(0.1,))
    assert not checks[0].within(1e-2)


@pytest.mark.parametrize("value", [2e-4, float("nan")])
@pytest.mark.parametrize("name", ["magnitude", "phase"])
def test_either_error_fails_the_check(name, value):
    good = Parity(1, magnitude=1e-6, phase=1e-6, spectrum=1.0)
    assert good.within(1e-4)
    assert not good._replace(**{name: value}).within(1e-4)


def test_the_errors_are_those_of_cosine_and_sine():
    magnitude, phase = torch.tensor([[[2.0, 4.0]]]), torch.tensor([[[0.0, 3.0]]])
    turned = phase + torch.tensor([1e-2, 2 * torch.pi])
    parity = onnx_export._parity((magnitude, phase), (magnitude + 0.4, turned))
    assert parity.num_frames == 2
    assert parity.magnitude == pytest.approx(0.1)
    assert parity.phase == pytest.approx(np.sin(1e-2), rel=1e-3)
    assert parity.spectrum == pytest.approx(0.1, rel=1e-2)
