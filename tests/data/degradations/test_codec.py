import numpy as np
import pytest

from sesame.data.audio import resample
from sesame.data.degradations import Codec, codec
from sesame.data.degradations.codec import align, encode_and_decode


def sdr_db(waveform, target):
    return 10 * np.log10(np.sum(target**2) / np.sum((waveform - target) ** 2))


@pytest.mark.parametrize("name", ["mp3", "ogg"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_coded_speech_is_in_step_and_alike_but_not_the_same(name, rate, speech, rng):
    original = resample(speech[:32_000], 16_000, rate)
    waveform, done = Codec([name], (0.5, 0.5))(original, rate, rng)
    assert done == {"codec": name, "compression": 0.5}
    # A delay of one sample would leave 8 dB at 8 kHz.
    assert 10 < sdr_db(waveform, original) < 40


@pytest.mark.parametrize("name", ["mp3", "ogg"])
def test_more_compression_leaves_less(name, speech, rng):
    values = [
        sdr_db(Codec([name], (c, c))(speech, 16_000, rng).waveform, speech)
        for c in (0.1, 0.5, 0.95)
    ]
    assert values == sorted(values, reverse=True) and values[0] > values[-1] + 3


@pytest.mark.parametrize("delay", [0, 1, 529, 1105])
def test_a_decoder_that_is_late_is_put_in_step(delay, speech, rng, monkeypatch):
    coded = encode_and_decode(speech, 16_000, "ogg", 0.3)
    late = np.pad(coded, (delay, 40))
    monkeypatch.setattr(codec, "encode_and_decode", lambda *_: late)
    waveform, _ = Codec(["ogg"])(speech, 16_000, rng)
    np.testing.assert_array_equal(waveform, coded)


def test_what_ends_early_is_followed_by_zeros():
    signal = np.array([1.0, -2.0, 3.0, 4.0])
    assert align(signal[:3], signal, 2).tolist() == [1.0, -2.0, 3.0, 0.0]


@pytest.mark.parametrize("make", [lambda: Codec(["flac"]), lambda: Codec([])])
def test_unknown_codecs_are_refused(make):
    with pytest.raises(ValueError, match=r"must be some of mp3, ogg"):
        make()
    with pytest.raises(ValueError, match=r"must be one of mp3, ogg"):
        encode_and_decode(np.zeros(9, np.float32), 16_000, "gsm", 0.5)


def test_a_rate_that_the_codec_does_not_know_is_refused(speech, rng):
    with pytest.raises(ValueError, match="cannot encode mp3 at 96000 Hz"):
        Codec(["mp3"])(speech, 96_000, rng)
