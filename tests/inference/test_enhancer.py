import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sesame.features import enhance_waveform
from sesame.inference import Enhancer, load_model_folder, long_audio

RATES = (8000, 16000, 22050, 44100, 48000)
shares_fixtures = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def after_silence(waveform):
    # The first frame mirrors the signal at its first sample, so its spectrum is real
    # and the sign of its phase, 0 or +-pi, hangs on rounding. Silence has no such sign.
    waveform[..., :64] = 0
    return waveform


class Passing(torch.nn.Module):
    def forward(self, magnitude, phase):
        return magnitude, phase


@pytest.fixture
def passing(tiny):
    return Enhancer(Passing(), tiny.transform, 16000, "cpu")


@shares_fixtures
@given(
    length=st.integers(1, 2500),
    channels=st.sampled_from([None, 1, 2]),
    rate=st.sampled_from(RATES),
    dtype=st.sampled_from(["float16", "float32", "float64", "int16", "int32"]),
    as_tensor=st.booleans(),
)
def test_the_result_is_of_the_kind_of_the_input(
    enhancer, length, channels, rate, dtype, as_tensor
):
    shape = (length,) if channels is None else (channels, length)
    waveform = (1000 * noise(*shape)).astype(dtype)
    if as_tensor:
        waveform = torch.from_numpy(waveform)
    before = waveform.copy() if not as_tensor else waveform.clone()
    enhanced = enhancer(waveform, rate)
    assert type(enhanced) is type(waveform)
    assert (enhanced.shape, enhanced.dtype) == (waveform.shape, waveform.dtype)
    assert np.isfinite(np.asarray(enhanced)).all()
    assert (waveform == before).all()


def test_it_computes_what_the_test_of_a_training_run_computes(enhancer, tiny):
    waveform = torch.from_numpy(noise(1003))
    with torch.no_grad():
        expected = enhance_waveform(tiny.network, tiny.transform, waveform[None])[0]
    torch.testing.assert_close(enhancer(waveform, 16000), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", RATES)
def test_a_network_that_does_nothing_gives_back_the_signal(passing, rate):
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    middle = slice(rate // 4, -rate // 4)
    np.testing.assert_allclose(passing(tone, rate)[middle], tone[middle], atol=1e-3)


def test_channels_are_enhanced_as_if_alone(enhancer):
    stereo = after_silence(noise(2, 900)) * np.array([[1.0], [0.01]], dtype=np.float32)
    enhanced = enhancer(stereo, 16000)
    for channel, together in zip(stereo, enhanced, strict=True):
        alone = enhancer(channel, 16000)
        np.testing.assert_allclose(together, alone, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize("gain", [2.0**-60, 2.0**-900, 2.0**900])
def test_a_gain_by_a_power_of_two_is_exact_over_the_range_of_float64(enhancer, gain):
    waveform = noise(700).astype(np.float64)
    expected = gain * enhancer(waveform, 16000)
    np.testing.assert_array_equal(enhancer(gain * waveform, 16000), expected)


@pytest.mark.parametrize("gain", [1e-3, 0.3, 700.0])
def test_a_gain_on_the_input_is_the_same_gain_on_the_output(enhancer, gain):
    waveform = after_silence(noise(700)).astype(np.float64)
    expected = enhancer(waveform, 16000)
    scaled = enhancer(gain * waveform, 16000) / gain
    np.testing.assert_allclose(scaled, expected, atol=1e-4 * np.abs(expected).max())


def test_integers_are_the_rounded_floats(enhancer):
    waveform = (3000 * noise(700)).astype(np.int16)
    expected = enhancer(waveform.astype(np.float64), 16000).round()
    np.testing.assert_array_equal(enhancer(waveform, 16000), expected)


def test_integers_saturate_instead_of_wrapping(tiny):
    class Louder(torch.nn.Module):
        def forward(self, magnitude, phase):
            return 2 * magnitude, phase

    waveform = np.full(700, 30000, dtype=np.int16)
    enhanced = Enhancer(Louder(), tiny.transform, 16000, "cpu")(waveform, 16000)
    assert enhanced[100:600].min() == 32767


def test_silence_stays_silent_beside_a_channel_that_is_not(enhancer):
    stereo = np.stack([np.zeros(800, dtype=np.float32), noise(800)])
    enhanced = enhancer(stereo, 44100)
    assert not enhanced[0].any()
    assert enhanced[1].any()


def test_every_system_enhances_at_its_rate(system, tiny):
    waveform = torch.from_numpy(noise(1003))
    with torch.no_grad():
        expected = enhance_waveform(system.network, tiny.transform, waveform[None])[0]
    enhancer = Enhancer.from_pretrained(system.folder, "cpu")
    torch.testing.assert_close(enhancer(waveform, 16000), expected, rtol=0, atol=1e-5)
    assert (expected - waveform).abs().max() > 0.1


def test_every_system_enhances_stereo_at_another_rate_in_windows(system, monkeypatch):
    monkeypatch.setattr(long_audio, "WHOLE_SECONDS", 0.1)
    monkeypatch.setattr(long_audio, "WINDOW_SECONDS", 0.1)
    monkeypatch.setattr(long_audio, "CONTEXT_SECONDS", 0.01)
    monkeypatch.setattr(long_audio, "FADE_SECONDS", 0.01)
    enhancer = Enhancer.from_pretrained(system.folder, "cpu")
    frames = []
    enhancer.network.register_forward_hook(
        lambda network, spectrum, enhanced: frames.append(enhanced[0].shape)
    )
    stereo = after_silence(noise(2, 11025))
    enhanced = enhancer(stereo, 44100)
    assert len(frames) > 2
    assert enhanced.shape == stereo.shape
    for channel, together in zip(stereo, enhanced, strict=True):
        alone = enhancer(channel, 44100)
        np.testing.assert_allclose(together, alone, atol=1e-3 * np.abs(alone).max())


def test_the_result_can_be_used_in_training(enhancer):
    weight = torch.ones(1, requires_grad=True)
    waveform = torch.from_numpy(noise(300)).requires_grad_()
    (weight * enhancer(waveform, 16000)).sum().backward()
    assert weight.grad is not None and waveform.grad is None


def test_views_and_foreign_byte_orders_are_read_right(enhancer):
    waveform = noise(600)
    expected = enhancer(waveform, 16000)
    backwards = waveform[::-1].copy()[::-1]
    np.testing.assert_array_equal(enhancer(backwards, 16000), expected)
    foreign = enhancer(waveform.astype(">f4"), 16000)
    assert foreign.dtype == np.dtype(">f4")
    np.testing.assert_array_equal(foreign, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(enhancer, bad):
    waveform = noise(2, 100)
    waveform[1, 3] = bad
    with pytest.raises(ValueError, match="1 of 200 samples are not"):
        enhancer(waveform, 16000)


@pytest.mark.parametrize(
    ("waveform", "rate", "reason"),
    [
        (np.zeros((1, 1, 9)), 16000, r"\(1, 1, 9\) must be"),
        (np.zeros(0), 16000, r"\(0,\) must be"),
        (np.zeros((1000, 2)), 16000, r"not \(L, channels\)"),
        (np.zeros(9, dtype=np.uint8), 16000, r"dtype of waveform \(uint8\)"),
        (np.zeros(9, dtype=complex), 16000, "dtype of waveform"),
        (torch.zeros(9, dtype=torch.bool), 16000, "dtype of waveform"),
        ([0.0] * 9, 16000, r"waveform \(list\)"),
        (np.zeros(9), 100, r"sample_rate \(100\)"),
        (np.zeros(9), 16000.5, r"sample_rate \(16000.5\)"),
    ],
)
def test_what_is_no_waveform_is_refused_with_the_rule(enhancer, waveform, rate, reason):
    with pytest.raises(ValueError, match=reason):
        enhancer(waveform, rate)


def test_a_loaded_model_sounds_like_the_saved_one(enhancer, model_folder):
    loaded = Enhancer.from_pretrained(model_folder, device="cpu")
    assert not loaded.network.training
    waveform = noise(500)
    np.testing.assert_array_equal(loaded(waveform, 16000), enhancer(waveform, 16000))


def test_a_network_in_training_is_put_into_evaluation_mode(tiny):
    enhancer = Enhancer(tiny.network.train(), tiny.transform, 16000, "cpu")
    assert not any(module.training for module in enhancer.network.modules())


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_by_name(tiny, device):
    with pytest.raises(ValueError, match=rf"device \({device}\) cannot be used"):
        Enhancer(tiny.network, tiny.transform, 16000, device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_and_a_cpu_agree(enhancer, model_folder):
    on_gpu = Enhancer(*load_model_folder(model_folder))
    assert on_gpu.device.type == "cuda"
    waveform = torch.from_numpy(after_silence(noise(2, 3000))).cuda()
    enhanced = on_gpu(waveform, 16000)
    assert enhanced.device == waveform.device
    expected = enhancer(waveform.cpu(), 16000)
    torch.testing.assert_close(enhanced.cpu(), expected, rtol=0, atol=1e-2)


def test_a_batch_gives_what_its_items_give_alone(enhancer):
    noisy = torch.from_numpy(noise(3 * 2000).reshape(3, 2000))
    lengths = torch.tensor([1.0, 0.5, 0.25])
    enhanced = enhancer.enhance_batch(noisy, lengths)
    for item, length in enumerate([2000, 1000, 500]):
        alone = enhancer(noisy[item, :length], enhancer.sample_rate)
        assert torch.equal(enhanced[item, :length], alone)
        assert not enhanced[item, length:].any()


def test_what_pads_a_batch_does_not_matter(enhancer):
    noisy = torch.from_numpy(noise(2 * 2000).reshape(2, 2000))
    other = noisy.clone()
    other[1, 1000:] = 7.0
    lengths = torch.tensor([1.0, 0.5])
    assert torch.equal(
        enhancer.enhance_batch(noisy, lengths), enhancer.enhance_batch(other, lengths)
    )


@pytest.mark.parametrize(
    "noisy, lengths",
    [
        (torch.zeros(10), None),
        (torch.zeros(2, 10), torch.tensor([1.0])),
        (torch.zeros(2, 10), torch.tensor([1.0, 0.0])),
        (torch.zeros(2, 10), torch.tensor([1.0, 1.5])),
        (torch.zeros(2, 10), torch.tensor([1.0, float("nan")])),
    ],
)
def test_a_batch_that_does_not_fit_its_lengths_is_refused(enhancer, noisy, lengths):
    with pytest.raises(ValueError, match="must be"):
        enhancer.enhance_batch(noisy, lengths)


def test_onnxruntime_gives_what_torch_gives(model_folder, tmp_path):
    pytest.importorskip("onnxruntime")
    from sesame.inference.onnx_export import export_onnx

    export_onnx(model_folder, tmp_path / "m.onnx")
    noisy = after_silence(noise(2, 3000))
    expected = Enhancer.from_pretrained(model_folder, "cpu")(noisy, 22050)
    enhancer = Enhancer.from_pretrained(
        tmp_path / "m.onnx", "cpu", backend="onnxruntime"
    )
    np.testing.assert_allclose(enhancer(noisy, 22050), expected, rtol=0, atol=1e-4)


def test_an_unknown_backend_is_refused(model_folder):
    with pytest.raises(ValueError, match=r"backend .* must be one of"):
        Enhancer.from_pretrained(model_folder, backend="tensorflow")
