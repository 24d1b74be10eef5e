import warnings

import numpy as np
import pytest
import soundfile
import torch

from sesame.inference import FlowEnhancer, flow_sizes, load_seflow_folder
from sesame.inference.audio_files import read_audio

RATE = 16000


def noise(*shape, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def enhancer(flow_network):
    return FlowEnhancer(flow_network, "cpu")


@pytest.mark.parametrize("rate", [8000, 22050])
@pytest.mark.parametrize("shape", [(1,), (700,), (2, 501)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int16])
def test_the_result_is_of_the_kind_of_the_input(enhancer, rate, shape, dtype):
    scale = 1 if dtype.is_floating_point else 2**15
    waveform = torch.from_numpy(scale * noise(*shape)).to(dtype)
    before = waveform.clone()
    enhanced = enhancer(waveform, rate)
    assert (enhanced.dtype, enhanced.shape) == (dtype, waveform.shape)
    assert torch.equal(waveform, before)
    array = enhancer(waveform.numpy(), rate)
    np.testing.assert_array_equal(array, enhanced.numpy())


def test_integers_are_floats_on_their_full_scale(enhancer):
    waveform = (2**15 * noise(900)).round().astype(np.int16)
    found = enhancer(waveform, RATE) / 2**15
    expected = enhancer(waveform / 2**15, RATE).clip(-1, 1 - 2**-15)
    np.testing.assert_allclose(found, expected, atol=0.51 * 2**-15)


def test_a_size_is_that_of_the_sub_network(flow_network):
    waveform = noise(1200)
    part = flow_network.subnet(width=0.5, depth=2)
    found = FlowEnhancer(flow_network, "cpu", width=0.5, depth=2)(waveform, RATE)
    expected = FlowEnhancer(part, "cpu")(waveform, RATE)
    np.testing.assert_array_equal(found, expected)
    assert np.abs(FlowEnhancer(flow_network, "cpu")(waveform, RATE) - found).max() > 0


def test_a_budget_is_spent_anew_at_each_rate_and_for_a_voice(flow_network):
    every = flow_sizes.flow_sizes(flow_network)
    budget = sorted(size.gmacs(flow_network, 8000) for size in every)[4]
    enhancer = FlowEnhancer(flow_network, "cpu", budget_gmacs=budget)
    sizes = [enhancer.size(rate) for rate in (8000, 48000)]
    costs = [flow_network.macs_per_second(8000, *size) / 1e9 for size in sizes]
    assert costs[0] == budget > costs[1]
    assert enhancer.size(7950) == sizes[0]
    assert enhancer.size(8000, enrolled=True) != sizes[0]
    waveform = noise(800)
    expected = FlowEnhancer(flow_network, "cpu", *sizes[0])(waveform, 8000)
    np.testing.assert_array_equal(enhancer(waveform, 8000), expected)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"width": 0.3}, r"width \(0.3\) must be a multiple of 1/4"),
        ({"depth": 4}, r"depth \(4\) must be in \[1, 3\]"),
        ({"budget_gmacs": 0}, r"budget_gmacs \(0\) must be positive"),
        ({"budget_gmacs": float("nan")}, r"budget_gmacs \(nan\) must be positive"),
        ({"budget_gmacs": 1, "width": 0.5}, "only one of budget_gmacs"),
        ({"device": "tea"}, r"device \(tea\) cannot be used"),
    ],
)
def test_a_size_that_there_is_not_is_refused_at_once(flow_network, options, reason):
    with pytest.raises(ValueError, match=reason):
        FlowEnhancer(flow_network, **{"device": "cpu", **options})


def test_a_budget_below_the_smallest_size_is_refused(flow_network):
    enhancer = FlowEnhancer(flow_network, "cpu", budget_gmacs=1e-9)
    with pytest.raises(ValueError, match=r"at least .* takes at 22100 Hz"):
        enhancer(noise(100), 22050)


def test_a_voice_and_a_far_end_change_what_comes_out(enhancer, tmp_path):
    waveform, voice, far = noise(1600), noise(RATE, seed=1), noise(1600, seed=2)
    soundfile.write(tmp_path / "voice.wav", voice, RATE, "FLOAT")
    soundfile.write(tmp_path / "far.wav", far, RATE, "FLOAT")
    plain = enhancer(waveform, RATE)
    with_voice = enhancer(waveform, RATE, enrollment=voice)
    with_far = enhancer(waveform, RATE, far_end=far)
    assert np.abs(with_voice - plain).max() > 1e-3
    assert np.abs(with_far - plain).max() > 1e-3
    np.testing.assert_array_equal(
        enhancer(waveform, RATE, enrollment=tmp_path / "voice.wav"), with_voice
    )
    np.testing.assert_array_equal(
        enhancer(waveform, RATE, far_end=tmp_path / "far.wav"), with_far
    )


def test_a_far_end_of_another_length_is_a_warning(enhancer):
    waveform = noise(1600)
    with pytest.warns(UserWarning, match="far end lasts 0.050 s, the signal 0.100 s"):
        enhancer(waveform, RATE, far_end=noise(800))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        enhancer(waveform, RATE, far_end=noise(1600))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"enrollment": np.zeros(800)}, "enrollment .* must hold a voice"),
        ({"enrollment": "absent.wav"}, "enrollment: .*absent.wav: there is no such"),
        ({"far_end": np.array([np.nan])}, "far end: waveform must be finite"),
        ({"dry": 2}, r"dry \(2\)"),
    ],
)
def test_what_is_wrong_beside_the_waveform_is_named(enhancer, options, reason):
    with pytest.raises(ValueError, match=reason):
        enhancer(noise(100), RATE, **options)


@pytest.mark.parametrize(
    ("waveform", "rate", "reason"),
    [
        (np.zeros(0), RATE, "not empty"),
        (np.array([0.0, np.inf]), RATE, "1 of 2 samples are not"),
        ([0.0], RATE, r"waveform \(list\)"),
        (np.zeros(9), 100, r"sample_rate \(100\)"),
    ],
)
def test_what_is_no_waveform_is_refused(enhancer, waveform, rate, reason):
    with pytest.raises(ValueError, match=reason):
        enhancer(waveform, rate)


def test_a_file_gives_what_its_samples_give(enhancer, noisy_file, tmp_path):
    voice, far = noise(RATE, seed=1), noise(4001, seed=2)
    soundfile.write(tmp_path / "far.wav", far, 44100, "FLOAT")
    priors = {"enrollment": (voice, 16000), "far_end": tmp_path / "far.wav"}
    target = tmp_path / "out.wav"
    report = enhancer.enhance_file(noisy_file, target, max_attenuation_db=20, **priors)
    before, after = soundfile.info(noisy_file), soundfile.info(target)
    for name in ("samplerate", "channels", "frames", "format", "subtype"):
        assert getattr(after, name) == getattr(before, name), name
    audio = read_audio(noisy_file)
    expected = enhancer(audio.waveform, 44100, dry=0.1, **priors).clip(-1, 1)
    np.testing.assert_allclose(read_audio(target).waveform, expected, atol=2**-22)
    assert report.warnings == () and report.sample_rate == 44100
    assert report.num_clipped == (np.abs(expected) == 1).sum()


def test_the_report_tells_what_was_done_to_the_inputs_beside(
    enhancer, noisy_file, tmp_path
):
    far = noise(44100)
    report = enhancer.enhance_file(noisy_file, tmp_path / "a.wav", far_end=far)
    assert len(report.warnings) == 1 and "its end is not used" in report.warnings[0]


def test_a_failure_leaves_no_file(enhancer, noisy_file, tmp_path):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match="must hold a voice"):
        enhancer.enhance_file(noisy_file, tmp_path / "a.wav", enrollment=np.zeros(99))
    assert sorted(tmp_path.iterdir()) == before


def test_an_empty_file_gives_one(enhancer, tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    report = enhancer.enhance_file(tmp_path / "empty.wav", tmp_path / "out.wav")
    assert soundfile.info(tmp_path / "out.wav").frames == 0
    assert "has no sample" in report.warnings[0]


def test_a_loaded_model_sounds_like_the_saved_one(enhancer, flow_folder, model_folder):
    waveform = noise(500)
    loaded = FlowEnhancer.from_pretrained(flow_folder, "cpu")
    assert not loaded.network.training
    np.testing.assert_array_equal(loaded(waveform, RATE), enhancer(waveform, RATE))
    with pytest.raises(ValueError, match="SESAME enhances speech, it does not change"):
        load_seflow_folder(model_folder)
