"""A step in onnxruntime: the same samples as the step of torch, over many hops."""

import numpy as np
import pytest
import torch

from sesame.inference.onnx_network import OnnxNetwork
from sesame.inference.onnx_stream import OnnxStream, export_stream_onnx
from sesame.inference.streaming_enhancer import StreamingEnhancer
from sesame.models.seflow import SEFlow

onnx = pytest.importorskip("onnx", reason="pip install '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")

SMALL = {"width": 16, "depth": 2, "head_channels": 4, "context": 10, "num_tokens": 4}
RATE, HOP, HOPS = 8000, 80, 35


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = SEFlow(**SMALL)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return model.eval()


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """Makes a file with or without a far end and room for a voice, once each."""
    folder, made = tmp_path_factory.mktemp("onnx"), {}

    def make(far_end=False, enrollment=False):
        if (far_end, enrollment) not in made:
            path = folder / f"{far_end}_{enrollment}.onnx"
            options = {"far_end": far_end, "enrollment": enrollment}
            export_stream_onnx(network, path, RATE, 0.5, 2, **options)
            made[far_end, enrollment] = path
        return made[far_end, enrollment]

    return make


def signals(far_end=False):
    x = 0.1 * torch.randn(1, HOPS * HOP, generator=torch.Generator().manual_seed(1))
    return x, x.flip(1) if far_end else None


@pytest.mark.parametrize("far_end", [False, True])
@pytest.mark.parametrize("frames", [None, 2, 30])
@pytest.mark.parametrize("blocks", [[1] * HOPS, [3, 1, 12, 19]])
def test_many_hops_equal_the_steps_of_torch(network, exported, far_end, frames, blocks):
    """With no voice, one that fills half of its slots, and one that fills all."""
    x, far = signals(far_end)
    voice = None
    if frames:
        voice = network.enroll(torch.randn(1, frames * HOP) * 0.1, RATE, 0.5)
    with torch.no_grad():
        expected = network(x, RATE, 0.5, far_end=far, enrollment=voice)
    stream = OnnxStream(exported(far_end, bool(frames))).open_stream(
        1, RATE, enrollment=voice, far_end=far_end
    )
    sizes = [block * HOP for block in blocks]
    fars = [None] * len(sizes) if far is None else far.split(sizes, 1)
    parts = [stream(*pair) for pair in zip(x.split(sizes, 1), fars, strict=True)]
    scale = expected.abs().max()
    assert ((torch.cat(parts, 1) - expected).abs().max() / scale) < 1e-5


@pytest.mark.parametrize("enrollment", [False, True])
def test_states_are_those_of_torch(network, exported, enrollment):
    x, _ = signals()
    voice = network.enroll(0.1 * torch.randn(1, 900), RATE, 0.5) if enrollment else None
    model = OnnxStream(exported(enrollment=enrollment))
    state = model.initial_state(voice)
    expected = network.initial_state(1, RATE, 0.5, enrollment=voice)
    assert state.settings == expected.settings
    assert state.constants == expected.constants
    for _ in range(2):
        assert state.tensors.keys() == expected.tensors.keys()
        for name, tensor in expected.tensors.items():
            actual = state.tensors[name]
            torch.testing.assert_close(actual, tensor, rtol=1e-4, atol=1e-5)
        # As torch does it from here on: states are exchanged between the two.
        _, state = model.step(x[:, : 12 * HOP], state)
        _, expected = network.step(x[:, : 12 * HOP], expected)


@pytest.mark.parametrize("num_steps", [1, 3])
def test_flow_matching_is_exported_with_its_steps(num_steps, tmp_path):
    torch.manual_seed(1)
    model = SEFlow(**SMALL, flow_matching=True, num_steps=num_steps).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    path, (x, far) = tmp_path / "flow.onnx", signals(far_end=True)
    export_stream_onnx(model, path, RATE, 0.5, far_end=True, enrollment=True)
    voice = model.enroll(torch.randn(1, 30 * HOP) * 0.1, RATE, 0.5)
    stream = OnnxStream(path).open_stream(1, RATE, enrollment=voice, far_end=True)
    with torch.no_grad():
        expected = model(x, RATE, 0.5, far_end=far, enrollment=voice)
    error = (stream(x, far) - expected).abs().max() / expected.abs().max()
    assert error < 1e-5
    opened = model.initial_state(1, RATE, 0.5, enrollment=voice, far_end=True)
    assert stream.state.settings == opened.settings
    assert stream.state.constants == opened.constants


def test_a_file_with_room_for_a_voice_needs_none(network, exported):
    x, _ = signals()
    stream = OnnxStream(exported(enrollment=True)).open_stream(1, RATE)
    with torch.no_grad():
        expected = network(x, RATE, 0.5)
    torch.testing.assert_close(stream(x), expected, rtol=0, atol=1e-5)


def test_a_plain_session_runs_the_file_with_names_alone(network, exported):
    """What a device does that has none of our code."""
    session = onnxruntime.InferenceSession(exported(True))
    nodes = session.get_inputs()
    kinds = {"tensor(int64)": np.int64, "tensor(float)": np.float32}
    feed = {node.name: np.zeros(node.shape, kinds[node.type]) for node in nodes}
    x, far = signals(far_end=True)
    names, parts = [node.name for node in session.get_outputs()], []
    for start in range(0, x.shape[1], HOP):
        feed["block"] = x[:, start : start + HOP].numpy()
        feed["far_end_block"] = far[:, start : start + HOP].numpy()
        results = dict(zip(names, session.run(names, feed), strict=True))
        parts.append(results.pop("enhanced"))
        feed |= {name.removeprefix("next_"): value for name, value in results.items()}
    with torch.no_grad():
        expected = network(x, RATE, 0.5, far_end=far).numpy()
    np.testing.assert_allclose(np.concatenate(parts, 1), expected, rtol=0, atol=1e-5)


def test_a_streaming_enhancer_takes_it(network, exported):
    x, far = (signal[0].numpy() for signal in signals(far_end=True))
    outputs = []
    for model, width in ((OnnxStream(exported(True)), None), (network, 0.5)):
        enhancer = StreamingEnhancer(model, RATE, width, far_end=True)
        parts = [
            enhancer.push(x[start : start + 333], far[start : start + 333])
            for start in range(0, len(x), 333)
        ]
        outputs.append(np.concatenate([*parts, enhancer.flush()]))
    np.testing.assert_allclose(*outputs, rtol=0, atol=1e-5)


def test_a_reset_starts_anew_with_the_voice(network, exported):
    x, _ = signals()
    voice = network.enroll(0.1 * torch.randn(1, 900), RATE, 0.5)
    model = OnnxStream(exported(enrollment=True))
    stream = model.open_stream(1, RATE, enrollment=voice)
    first = stream(x)
    stream.reset()
    assert torch.equal(stream(x), first)


def test_two_streams_of_one_file_do_not_meet(exported):
    model, (x, _) = OnnxStream(exported()), signals()
    expected = model.open_stream(1, RATE)(x)
    streams = [model.open_stream(1, RATE) for _ in range(2)]
    outputs = [[], []]
    for block in x.split(5 * HOP, 1):
        outputs[0].append(streams[0](block))
        outputs[1].append(streams[1](-block))
    assert torch.equal(torch.cat(outputs[0], 1), expected)


def test_the_block_is_left_as_it_is(exported):
    x, _ = signals()
    copy = x.clone()
    OnnxStream(exported()).open_stream(1, RATE)(x)
    assert torch.equal(x, copy)


# -------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 2}, r"batch_size \(2\) must be 1"),
        ({"sample_rate": 16000}, r"sample_rate \(16000\) must be 8000"),
        ({"width": 0.5}, r"width \(0.5\) must be None"),
        ({"far_end": True}, r"far_end \(True\) must be False"),
        ({"enrollment": torch.zeros(1, 800)}, "must be what SEFlow.enroll has made"),
    ],
)
def test_what_is_not_in_the_file_is_refused(exported, arguments, message):
    with pytest.raises(ValueError, match=message):
        OnnxStream(exported()).open_stream(
            **({"batch_size": 1, "sample_rate": RATE} | arguments)
        )


def test_voices_that_do_not_fit_are_refused(network, exported):
    voice = torch.zeros(1, 900)
    with pytest.raises(ValueError, match=r"tokens \(4\) .* must be at most 0"):
        OnnxStream(exported()).initial_state(network.enroll(voice, RATE, 0.5))
    with pytest.raises(ValueError, match=r"must fit 8000 Hz, 8 channels"):
        OnnxStream(exported(enrollment=True)).initial_state(network.enroll(voice, RATE))


@pytest.mark.parametrize("shape", [(80,), (2, 80), (1, 81), (1, 0)])
def test_blocks_that_do_not_fit_are_refused(exported, shape):
    stream = OnnxStream(exported()).open_stream(1, RATE)
    with pytest.raises(ValueError, match=r"block .* must be \(1, M \* 80\)"):
        stream(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"dtype of block \(torch.float64\)"):
        stream(torch.zeros(1, 80, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"device of block \(meta\) must be cpu"):
        stream(torch.zeros(1, 80, device="meta"))


def test_a_far_end_comes_when_the_file_has_one_and_only_then(exported):
    x = torch.zeros(1, 80)
    with pytest.raises(ValueError, match="far_end must be None"):
        OnnxStream(exported()).open_stream(1, RATE)(x, x)
    stream = OnnxStream(exported(True)).open_stream(1, RATE, far_end=True)
    with pytest.raises(ValueError, match="far_end must be given"):
        stream(x)
    with pytest.raises(ValueError, match=r"far_end_block \(1, 160\) must be"):
        stream(x, torch.zeros(1, 160))


def test_a_rate_is_any_whole_number(network, tmp_path):
    path = tmp_path / "a.onnx"
    export_stream_onnx(network, path, np.int64(RATE), 0.25, 1)
    assert OnnxStream(path).settings["sample_rate"] == RATE
    with pytest.raises(ValueError, match=r"sample_rate \(8000.0\) must be a whole"):
        export_stream_onnx(network, tmp_path / "b.onnx", float(RATE))


def test_files_that_exist_or_are_no_onnx_are_refused(network, exported, tmp_path):
    with pytest.raises(ValueError, match=r"suffix of .* must be \.onnx"):
        export_stream_onnx(network, tmp_path / "a.pb", RATE)
    path = exported()
    with pytest.raises(ValueError, match="overwrite=True replaces it"):
        export_stream_onnx(network, path, RATE)
    with pytest.raises(ValueError, match=r"num_threads \(0\) must be at least 1"):
        OnnxStream(path, num_threads=0)
    broken = tmp_path / "b.onnx"
    broken.write_bytes(path.read_bytes()[:999])
    with pytest.raises(ValueError, match=r"b\.onnx"):
        OnnxStream(broken)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"sample_rate": 8000}', "null", "NaN"],
)
def test_settings_that_are_none_are_refused(exported, tmp_path, text):
    model = onnx.load(exported())
    onnx.helper.set_model_props(model, {"sesame.format": "1", "model.stream": text})
    path = tmp_path / "changed.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="is not a step of a stream"):
        OnnxStream(path)


def test_the_file_is_no_network_of_magnitude_and_phase(exported):
    with pytest.raises(ValueError, match=r"inputs and outputs .* must be"):
        OnnxNetwork(exported())
