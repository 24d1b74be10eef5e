"""What the onnxruntime backend accepts, refuses and returns."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sesame.features import CompressedSTFT
from sesame.inference import Enhancer, load_model_folder, onnx_network
from sesame.inference.onnx_export import export_onnx
from sesame.inference.onnx_network import OnnxNetwork, load_onnx, weights_digest

onnx = pytest.importorskip("onnx", reason="pip install '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")


@pytest.fixture(scope="module")
def contents():
    """What the export of each model, which takes its time, has written."""
    return {}


@pytest.fixture
def exported(model_folder, contents):
    path = model_folder / "model.onnx"
    weights = weights_digest(model_folder)
    if weights not in contents:
        export_onnx(model_folder, path)
        contents[weights] = path.read_bytes()
    path.write_bytes(contents[weights])
    return path


@pytest.fixture
def change(exported, tmp_path):
    """Writes a changed copy of the exported file."""

    def write(edit):
        model = onnx.load(exported)
        edit(model)
        path = tmp_path / "changed.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write


def set_metadata(**values):
    def edit(model):
        entries = {entry.key: entry.value for entry in model.metadata_props} | values
        onnx.helper.set_model_props(model, {k: v for k, v in entries.items() if v})

    return edit


def test_an_enhancer_sounds_the_same_with_either_backend(exported, model_folder):
    waveform = np.random.default_rng(0).standard_normal((2, 4001)).astype(np.float32)
    network, transform, rate = load_onnx(exported)
    actual = Enhancer(network, transform, rate, "cpu")(waveform, 22050)
    expected = Enhancer(*load_model_folder(model_folder), "cpu")(waveform, 22050)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)


def test_a_model_folder_stands_for_its_file(exported, model_folder):
    spectrum = torch.rand(2, 1, 33, 7)
    one, other = OnnxNetwork(exported)(*spectrum), load_onnx(model_folder)[0](*spectrum)
    assert all(map(torch.equal, one, other))


def test_transform_and_rate_come_out_of_the_file(exported, tiny, tmp_path):
    alone = exported.rename(tmp_path / "alone.onnx")
    network, transform, rate = load_onnx(alone)
    settings = {name: getattr(transform, name) for name in tiny.transform_arguments}
    assert settings == tiny.transform_arguments
    assert isinstance(transform, CompressedSTFT) and rate == 16000
    assert list(network.parameters()) == [] and network.state_dict() == {}


def test_one_row_of_a_batch_does_not_see_another(exported):
    network = OnnxNetwork(exported)
    spectra = torch.rand(2, 3, 33, 11)
    together = network(*spectra)
    alone = [network(*spectra[:, row : row + 1]) for row in range(3)]
    for all_rows, rows in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(all_rows, torch.cat(rows), rtol=0, atol=1e-4)


def test_strides_and_inference_mode_do_not_matter(exported):
    network, spectrum = OnnxNetwork(exported), torch.rand(2, 1, 7, 33)
    expected = network(*spectrum.mT.contiguous())
    with torch.inference_mode():
        actual = network(*(spectrum * 1).mT)
    assert all(map(torch.equal, actual, expected))


@pytest.mark.parametrize("set_before", [1, 2])
def test_as_many_threads_as_torch_has(exported, set_before):
    before = torch.get_num_threads()
    torch.set_num_threads(set_before)
    try:
        options = OnnxNetwork(exported).session.get_session_options()
    finally:
        torch.set_num_threads(before)
    assert options.intra_op_num_threads == set_before


def test_a_number_of_threads_can_be_given(exported):
    options = OnnxNetwork(exported, num_threads=3).session.get_session_options()
    assert options.intra_op_num_threads == 3
    with pytest.raises(ValueError, match=r"num_threads \(0\) must be at least 1"):
        OnnxNetwork(exported, num_threads=0)


@pytest.mark.parametrize(
    ("device", "available", "expected"),
    [
        ("cpu", ["CUDAExecutionProvider"], ["CPUExecutionProvider"]),
        ("cuda:1", [], ["CPUExecutionProvider"]),
        (
            "cuda:1",
            ["CUDAExecutionProvider"],
            [("CUDAExecutionProvider", {"device_id": 1}), "CPUExecutionProvider"],
        ),
    ],
)
def test_cuda_is_used_where_it_is_asked_for_and_there(
    exported, monkeypatch, device, available, expected
):
    seen = []

    def session(content, options, providers):
        seen.extend(providers)
        raise RuntimeError("stop here")

    fake = SimpleNamespace(
        SessionOptions=onnxruntime.SessionOptions,
        InferenceSession=session,
        get_available_providers=lambda: available,
    )
    packages = {"onnx": onnx, "onnxruntime": fake}
    monkeypatch.setattr(onnx_network, "import_extra", packages.get)
    with pytest.raises(ValueError, match="stop here"):
        OnnxNetwork(exported, device=device)
    assert seen == expected


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        (((1, 33, 4), (1, 33, 5)), r"\(B, 33, T\), got \(1, 33, 4\) and \(1, 33, 5\)"),
        (((1, 32, 4), (1, 32, 4)), r"\(B, 33, T\), got"),
        (((33, 4), (33, 4)), r"\(B, 33, T\), got"),
        (((1, 33, 0), (1, 33, 0)), r"\(B, 33, T\), got"),
    ],
)
def test_spectra_that_do_not_fit_are_refused(exported, shapes, reason):
    with pytest.raises(ValueError, match=reason):
        OnnxNetwork(exported)(*map(torch.zeros, shapes))


def test_other_types_are_refused(exported):
    spectrum = torch.zeros(1, 33, 4)
    with pytest.raises(ValueError, match=r"\(torch.float64, torch.float32\) must be"):
        OnnxNetwork(exported)(spectrum.double(), spectrum)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"RIFF" * 100])
def test_what_is_no_onnx_file_is_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.onnx"):
        load_onnx(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_cut_file_is_refused(exported, kept):
    content = exported.read_bytes()
    exported.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"model\.onnx"):
        load_onnx(exported)


def test_a_changed_byte_is_harmless_or_one_clear_error(exported, tmp_path):
    content, path = exported.read_bytes(), tmp_path / "changed.onnx"
    spectrum, rng, refused = torch.rand(2, 1, 33, 5), random.Random(0), 0
    for _ in range(60):
        changed = bytearray(content)
        changed[rng.randrange(len(changed))] = rng.randrange(256)
        path.write_bytes(changed)
        try:
            load_onnx(path)[0](*spectrum)
        except ValueError as error:
            assert "changed.onnx" in str(error)
            refused += 1
    assert refused


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*absent\.onnx"):
        load_onnx(tmp_path / "absent.onnx")
    with pytest.raises(ValueError, match=r"`sesame export --model .* makes it"):
        load_onnx(tmp_path)


@pytest.mark.parametrize("part", ["weight", "constant"])
def test_tensors_in_other_files_are_refused(change, part):
    def edit(model):
        tensor = model.graph.initializer[0]
        if part == "constant":
            nodes = [node for node in model.graph.node if node.op_type == "Constant"]
            tensor = nodes[0].attribute[0].t
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")

    with pytest.raises(ValueError, match="keeps tensors in other files"):
        OnnxNetwork(change(edit))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (set_metadata(**{"sesame.format": "2"}), r"sesame.format \('2'\) must be '1'"),
        (set_metadata(**{"sesame.format": ""}), r"sesame.format \(None\) must be"),
        (set_metadata(**{"model.config": ""}), "model.config is not JSON"),
        (set_metadata(**{"model.config": "[]"}), "model.config: .* must be a mapping"),
        (set_metadata(**{"model.config": "{}"}), "model.config: .* missing: format"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(change, edit, reason):
    with pytest.raises(ValueError, match=rf"changed\.onnx: {reason}"):
        load_onnx(change(edit))


def test_the_configuration_of_another_transform_is_refused(exported, change):
    entries = {e.key: e.value for e in onnx.load(exported).metadata_props}
    config = entries["model.config"].replace('"num_bins": 33', '"num_bins": 65')
    config = config.replace('"n_fft": 64', '"n_fft": 128')
    with pytest.raises(ValueError, match=r"bins of the network \(33\) .* \(65\)"):
        load_onnx(change(set_metadata(**{"model.config": config})))


def test_another_network_is_refused(change):
    def edit(model):
        for node in model.graph.node:
            node.output[:] = [n.replace("enhanced_", "my_") for n in node.output]
            node.input[:] = [n.replace("enhanced_", "my_") for n in node.input]
        for output in model.graph.output:
            output.name = output.name.replace("enhanced_", "my_")

    with pytest.raises(ValueError, match=r"inputs and outputs .* must be"):
        load_onnx(change(edit))


def test_a_file_of_other_weights_than_those_beside_it_is_refused(
    exported, model_folder
):
    weights = model_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"not exported from .* --force` replaces it"):
        load_onnx(model_folder)
    load_onnx(exported)


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_the_way_to_get_it(
    exported, monkeypatch, missing
):
    def import_module(name):
        if name == missing:
            raise ImportError(name)
        return onnx

    monkeypatch.setattr(onnx_network, "import_module", import_module)
    reason = rf"^{missing} is missing: pip install '\.\[onnx\]'$"
    with pytest.raises(ImportError, match=reason):
        load_onnx(exported)
