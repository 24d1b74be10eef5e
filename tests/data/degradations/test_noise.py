import numpy as np
import pytest
import soundfile

from sesame.data.degradations import Noise, NoiseFolder
from sesame.data.mixing import active_rms

RATE = 16_000


def level_db(waveform):
    return 20 * np.log10(active_rms(waveform, RATE))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_measured_ratio_is_the_wanted_one(snr_db, speech, noise, rng):
    waveform, done = Noise(lambda length, _: noise[:length], [snr_db])(
        speech, RATE, rng
    )
    assert done["snr_db"] == snr_db
    measured = level_db(speech) - level_db(waveform - speech)
    assert measured == pytest.approx(snr_db, abs=0.01)


def test_real_recordings_are_mixed_at_their_ratio(shared_audio, rng):
    source = NoiseFolder(shared_audio / "noise" / "valid", RATE)
    speech = NoiseFolder(shared_audio / "speech" / "valid", RATE)(4 * RATE, rng)
    add = Noise(source)
    for _ in range(20):
        waveform, done = add(speech, RATE, rng)
        measured = level_db(speech) - level_db(waveform - speech)
        assert measured == pytest.approx(done["snr_db"], abs=0.1)
        assert -5 <= done["snr_db"] <= 20


def test_speech_is_not_scaled(speech, noise, rng):
    loud = 20 * speech
    waveform, _ = Noise(lambda length, _: noise, [0.0])(loud, RATE, rng)
    assert np.abs(waveform).max() > 1


def test_short_files_are_repeated_and_long_ones_cut_anywhere(tmp_path, rng):
    soundfile.write(tmp_path / "a.wav", np.arange(1, 11) / 16, RATE, "FLOAT")
    source = NoiseFolder(tmp_path, RATE)
    np.testing.assert_array_equal(16 * source(25, rng), np.resize(range(1, 11), 25))
    assert {float(16 * source(4, rng)[0]) for _ in range(99)} == set(range(1, 8))


def test_silent_pieces_are_drawn_again(tmp_path, audio_file, rng):
    for name in "acd":
        audio_file(f"noise/{name}.wav", 800)
    soundfile.write(tmp_path / "noise" / "b.wav", np.zeros(800), RATE)
    source = NoiseFolder(tmp_path / "noise", RATE)
    assert all(source(100, rng).any() for _ in range(40))


def test_other_rates_are_resampled(tmp_path, rng):
    seconds = np.arange(48_000) / 48_000
    soundfile.write(tmp_path / "a.wav", np.sin(2e3 * np.pi * seconds) / 2, 48_000)
    spectrum = np.abs(np.fft.rfft(NoiseFolder(tmp_path, RATE)(RATE, rng)))
    assert np.argmax(spectrum) == 1000


def test_nothing_to_draw_from_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no audio file"):
        NoiseFolder(tmp_path, RATE)
    for snr_db in ([], [20.0, -5.0], [np.nan]):
        with pytest.raises(ValueError, match="snr_db"):
            Noise(lambda length, rng: np.zeros(length), snr_db)
