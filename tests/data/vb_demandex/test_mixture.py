import numpy as np
import pytest
import soundfile

from sesame.data.audio import read_audio
from sesame.data.segmental_snr import segmental_snr
from sesame.data.speech_shaped_noise import spectral_distance_db
from sesame.data.vb_demandex.mixture import (
    Mixture,
    level_dbfs,
    make_noise,
    measured_snr,
    mix,
    read_piece,
    read_talkers,
    to_int16,
)

RATE = 16_000


@pytest.fixture
def files(plain):
    return sorted(str(path) for path in (plain / "speech").iterdir())


def plan(files, noise_type="babble", noise_files=None, **changes):
    mixture = Mixture(
        "x", "test", files[0], 0, 6000, noise_type, (), 5.0, -25.0, seed=3
    )
    return mixture._replace(noise_files=tuple(noise_files or files[1:]), **changes)


@pytest.mark.parametrize("noise_type", ["babble", "ssn", "environment"])
@pytest.mark.parametrize("snr_db", [-10.0, 20.0])
def test_the_rounded_mixture_has_the_snr_and_the_level(files, noise_type, snr_db):
    mixture = plan(files, noise_type, snr_db=snr_db)
    mixed = mix(mixture, RATE)
    assert mixed.noisy.dtype == mixed.clean.dtype == np.int16
    noise = (mixed.noisy.astype(float) - mixed.clean) / 2**15
    measured = segmental_snr(mixed.clean / 2**15, noise, RATE)
    assert measured == pytest.approx(snr_db, abs=0.05)
    assert mixed.snr_db == pytest.approx(measured, abs=1e-9)
    assert mixed.level_dbfs == pytest.approx(-25, abs=0.01)
    assert mixed.draw == 0


def test_clean_speech_is_the_file_but_for_its_level(files):
    clean = mix(plan(files, clean_start=500, num_samples=4000), RATE).clean
    source = read_audio(files[0])[500:4500]
    assert np.corrcoef(clean, source)[0, 1] > 0.999999


def test_the_same_plan_gives_the_same_samples(files):
    for noise_type in ("babble", "ssn", "environment"):
        once, again = (mix(plan(files, noise_type), RATE) for _ in range(2))
        np.testing.assert_array_equal(once.noisy, again.noisy)
        for change in ({"seed": 4}, {"item_id": "y"}):
            other = mix(plan(files, noise_type, **change), RATE)
            assert not np.array_equal(once.noisy, other.noisy)


def test_babble_is_made_of_the_talkers_named(files):
    noise, offset = make_noise(
        "babble", files[1:2], 9000, RATE, np.random.default_rng()
    )
    talker = read_talkers(files[1:2], RATE)[0]
    assert offset is None and len(noise) == 9000
    # One talker: the noise is that one, rotated and repeated.
    np.testing.assert_array_equal(noise[len(talker) :], noise[: 9000 - len(talker)])
    np.testing.assert_array_equal(np.sort(noise[: len(talker)]), np.sort(talker))


def test_speech_shaped_noise_has_the_spectrum_of_the_speech_named(files):
    noise, offset = make_noise("ssn", files, 32_000, RATE, np.random.default_rng(0))
    assert offset is None
    assert spectral_distance_db(noise, np.concatenate(read_talkers(files, RATE))) < 0.5


@pytest.mark.parametrize("seed", range(8))
def test_a_track_is_read_across_its_files(tmp_path, seed):
    ramp = np.arange(1, 1001) / 2000
    parts = [ramp[:300], ramp[300:400], ramp[400:]]
    paths = [tmp_path / f"{i}.wav" for i in range(3)]
    for path, part in zip(paths, parts, strict=True):
        soundfile.write(path, part, RATE, "FLOAT")
    rng = np.random.default_rng(seed)
    noise, offset = make_noise("public", [str(path) for path in paths], 500, RATE, rng)
    np.testing.assert_allclose(noise, ramp[offset : offset + 500], rtol=1e-6)


def test_a_short_track_is_repeated(tmp_path):
    soundfile.write(tmp_path / "a.wav", [0.25, 0.5], RATE)
    rng = np.random.default_rng(0)
    noise, offset = make_noise("rain", [str(tmp_path / "a.wav")], 5, RATE, rng)
    np.testing.assert_array_equal(noise, [0.25, 0.5, 0.25, 0.5, 0.25])
    assert offset == 0


def test_a_track_of_another_rate_is_resampled(plain):
    track = [str(plain / "noise" / "dog.wav")]  # 1.5 s at 8 kHz
    noise, offset = make_noise("dog", track, 24_000, RATE, np.random.default_rng(0))
    assert offset == 0 and len(noise) == 24_000 and noise[-2000:].any()


def test_silent_places_of_a_track_are_passed_over(files, tmp_path):
    wave = np.zeros(40_000)
    wave[20_000:26_000] = 0.1 * np.random.default_rng(0).standard_normal(6000)
    soundfile.write(tmp_path / "n.wav", wave, RATE)
    draws = set()
    for seed in range(12):
        mixture = plan(files, "rain", [str(tmp_path / "n.wav")], seed=seed)
        mixed = mix(mixture, RATE)
        assert 14_000 < mixed.noise_offset < 26_000
        draws.add(mixed.draw)
    assert len(draws) > 1


def test_silence_is_refused_with_the_name_of_the_file(files, tmp_path):
    soundfile.write(tmp_path / "mute.wav", np.zeros(9000), RATE)
    mute = str(tmp_path / "mute.wav")
    with pytest.raises(ValueError, match=r"x: .*mute\.wav\) cannot be mixed at 5"):
        mix(plan(files, "rain", [mute]), RATE)
    with pytest.raises(ValueError, match=r"mute\.wav and babble .* cannot be mixed"):
        mix(plan(files, clean=mute), RATE)
    with pytest.raises(ValueError, match=r"mute\.wav: a talker must not be silent"):
        mix(plan(files, "ssn", [mute]), RATE)


def test_speech_is_repeated_where_the_file_ends(files):
    piece = read_piece(files[0], RATE, 5500, 1200)
    np.testing.assert_array_equal(piece[500:1000], piece[:500])


def test_rounding_is_to_the_nearest_step_and_stays_in_range():
    steps = to_int16(np.array([0.6, -0.6, 1.4, 99_999, -99_999]) / 2**15)
    np.testing.assert_array_equal(steps, [1, -1, 1, 32767, -32768])


def test_levels_and_ratios_do_not_overflow_16_bits():
    loud = np.full(1600, -32768, dtype=np.int16)
    assert level_dbfs(loud) == pytest.approx(0)
    clean = np.full(1600, 32767, dtype=np.int16)
    assert measured_snr(loud, clean, RATE) == pytest.approx(-6.02, abs=0.01)
