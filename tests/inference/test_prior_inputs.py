import numpy as np
import pytest
import soundfile
import torch

from sesame.inference import prior_inputs
from sesame.inference.prior_inputs import level_scale, read_far_end, read_voice

RATE = 16000
read_either = pytest.mark.parametrize("read", [read_voice, read_far_end])


def noise(*shape, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(shape)


def samples_of(prior):
    if hasattr(prior, "waveform"):
        return prior.waveform
    return np.concatenate(list(prior.at_rate(prior.sample_rate, prior.length)), axis=-1)


@read_either
def test_a_file_a_waveform_and_a_waveform_with_its_rate_are_the_same(read, tmp_path):
    signal = noise(2, 9000)
    path = tmp_path / "a.wav"
    soundfile.write(path, signal.T, 8000, "DOUBLE")
    kinds = [path, str(path), (signal, 8000), (torch.from_numpy(signal), 8000)]
    priors = [read(kind, RATE) for kind in kinds] + [read(signal, 8000)]
    for prior in priors:
        assert prior.sample_rate == 8000 and prior.warnings == ()
        mean = signal.mean(axis=0, keepdims=True)
        np.testing.assert_allclose(samples_of(prior), mean, atol=1e-7)
        assert read(prior) is prior


@read_either
def test_integers_count_by_their_full_scale(read):
    signal = noise(3000)
    integers = (signal * 2**15).round().astype(np.int16)
    np.testing.assert_allclose(samples_of(read(integers, RATE))[0], signal, atol=2**-15)


@read_either
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("absent.wav", "absent.wav: there is no such file"),
        ("empty.wav", "empty.wav has no sample"),
        ("text.wav", "cannot read .*text.wav as audio"),
        ("nan.wav", "nan.wav has 1 samples that are NaN"),
        (np.array([0.1, np.nan]), "1 of 2 samples are not"),
        (np.zeros((1, 0)), "must be"),
        ((np.ones(9), 100), r"sample_rate \(100\)"),
        ([1.0, 2.0], r"waveform \(list\)"),
    ],
    ids=str,
)
def test_what_is_no_signal_is_refused_by_name(
    read, given, reason, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    soundfile.write("empty.wav", np.zeros(0), RATE)
    (tmp_path / "text.wav").write_text("no audio" * 20)
    soundfile.write("nan.wav", np.array([0.1, np.nan, 0.1]), RATE, "FLOAT")
    name = "enrollment" if read is read_voice else "far end"
    with pytest.raises(ValueError, match=rf"^{name}: .*{reason}"):
        read(given, RATE)


@read_either
def test_nan_in_a_file_is_repaired_when_asked(read, tmp_path):
    samples = noise(500)
    samples[3] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, RATE, "DOUBLE")
    prior = read(tmp_path / "nan.wav", repair_nonfinite=True)
    expected = np.nan_to_num(samples)
    np.testing.assert_allclose(samples_of(prior)[0], expected, atol=1e-7)


@pytest.mark.parametrize("level", [0.0, 1e-30, 0.99e-4])
def test_a_silent_voice_is_refused(level):
    with pytest.raises(ValueError, match=r"enrollment \(.* dB\) must hold a voice"):
        read_voice(np.full(800, level), RATE)
    read_voice(np.full(800, 1.01e-4), RATE)


def test_a_silent_far_end_is_taken():
    far_end = read_far_end(np.zeros(800), RATE)
    assert not samples_of(far_end).any()


def test_of_a_long_voice_the_beginning_is_used(monkeypatch, tmp_path):
    monkeypatch.setattr(prior_inputs, "LONGEST_VOICE", 1.5)
    signal = noise(26000)
    soundfile.write(tmp_path / "a.wav", signal, RATE, "DOUBLE")
    voice = read_voice(tmp_path / "a.wav")
    np.testing.assert_allclose(voice.waveform[0], signal[:24000], atol=1e-7)
    (line,) = voice.warnings
    assert "a.wav lasts 1.6 s: the first 1.5 s are used" in line


def test_a_short_voice_is_told():
    (line,) = read_voice(noise(RATE - 1), RATE).warnings
    assert "enrollment lasts 1.000 s: a voice is hardly known by less than 1 s" in line
    (line,) = read_voice(noise(1), RATE).warnings
    assert "enrollment lasts 0.000 s" in line
    assert read_voice(noise(RATE), RATE).warnings == ()


@pytest.mark.parametrize("rate", [8000, 24000])
def test_an_enrollment_is_that_of_the_voice_at_the_rate_of_the_network(
    flow_network, rate
):
    voice = read_voice(noise(9000), 8000)
    found = voice.enroll(flow_network, rate, 0.5, 2)
    waveform = torch.from_numpy(voice.at_rate(rate))
    expected = flow_network.enroll(waveform, rate, 0.5, 2)
    assert found[1:] == expected[1:]
    for actual, tokens in zip(found.tokens, expected.tokens, strict=True):
        assert torch.equal(actual, tokens)


@pytest.mark.parametrize("rate", [8000, 22100, 48000])
def test_a_tone_stays_the_tone_at_another_rate(rate):
    def tone(rate, length):
        return 0.1 * np.sin(2 * np.pi * 440 * np.arange(length) / rate)

    middle = slice(rate // 10, rate // 2)
    given = tone(RATE, RATE)
    voice = read_voice(given, RATE).at_rate(rate)
    far_end = np.concatenate(list(read_far_end(given, RATE).at_rate(rate, rate)), -1)
    for found in (voice, far_end):
        assert found.shape == (1, rate) and found.dtype == np.float32
        np.testing.assert_allclose(
            found[0, middle], tone(rate, rate)[middle], atol=1e-4
        )


@pytest.mark.parametrize("length", [1, 500, 1000, 1700])
def test_a_far_end_is_cut_and_a_misfit_is_told(length):
    signal = noise(1000)
    far_end = read_far_end(signal, RATE)
    found = np.concatenate(list(far_end.at_rate(RATE, length)), axis=-1)[0]
    np.testing.assert_allclose(found, signal[:length], atol=1e-7)
    lines = far_end.misfit(length, RATE)
    if length == 1000:
        assert lines == ()
    else:
        (line,) = lines
        assert "far end lasts 0.062 s" in line or "far end lasts 0.063 s" in line
        assert ("not used" in line) == (length < 1000)
        assert ("silence follows" in line) == (length > 1000)


def test_rounding_to_another_rate_is_no_misfit():
    far_end = read_far_end(np.ones(11026), 11025)
    assert far_end.misfit(16001, RATE) == ()
    assert far_end.misfit(16010, RATE)


def test_levels_stay_unless_they_are_far_beyond_full_scale():
    peaks = np.array([0.0, 1e-300, 0.3, 1.0, 1.99, 2.0, 32767.0, 1e300])
    scale = level_scale(peaks)
    np.testing.assert_array_equal(scale[:5], 1)
    assert ((peaks[5:] / scale[5:] >= 1) & (peaks[5:] / scale[5:] < 2)).all()
    assert np.isfinite(read_voice(np.full(9, 1e300), RATE).waveform).all()
