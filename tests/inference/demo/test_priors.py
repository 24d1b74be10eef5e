import numpy as np
import pytest
import soundfile

from sesame.inference.demo.priors import Priors, read_priors
from sesame.inference.prior_inputs import read_far_end, read_voice

NAMES = {"voice": "the voice to extract", "far_end": "the far-end signal"}


@pytest.fixture
def write(tmp_path):
    """Makes an upload of noise, or of other samples, at 8 kHz."""

    def make(samples=1600, name="upload.flac", rate=8000):
        if isinstance(samples, int):
            samples = 0.1 * np.random.default_rng(0).standard_normal(samples)
        path = tmp_path / name
        soundfile.write(path, samples, rate)
        return path

    return make


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def _read(part, path, folder, max_seconds=2.0):
    paths = {"voice": None, "far_end": None, part: path}
    return read_priors(**paths, folder=folder, max_seconds=max_seconds)


def test_without_uploads_there_is_nothing(results):
    assert read_priors(None, None, results, 2.0) == Priors(None, None)
    assert not list(results.iterdir())


def test_uploads_are_what_the_library_reads(write, results):
    voice, far_end = write(name="v.flac"), write(900, "f.wav", 44_100)
    found = read_priors(voice, far_end, results, 2.0)
    expected = read_voice(voice)
    np.testing.assert_array_equal(found.enrollment.waveform, expected.waveform)
    assert found.enrollment.sample_rate == 8000
    samples = [
        np.concatenate(list(prior.at_rate(16000, 9999)), axis=-1)
        for prior in (found.far_end, read_far_end(far_end))
    ]
    np.testing.assert_array_equal(*samples)


@pytest.mark.parametrize("part", NAMES)
@pytest.mark.parametrize(
    "samples, message",
    [
        (np.zeros(0), "has no sample"),
        (np.zeros(17_000), "lasts more than 2 s"),
        (np.array([0.1, np.nan]), "holds NaN or infinite samples"),
        (np.zeros((9, 33)), "has 33 channels"),
    ],
)
def test_a_refused_upload_is_named_by_its_part(
    write, results, tmp_path, part, samples, message
):
    path = tmp_path / "upload.wav"
    soundfile.write(path, samples, 8000, "FLOAT")
    with pytest.raises(ValueError, match=f"^{NAMES[part]} {message}") as caught:
        _read(part, path, results)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", NAMES)
def test_what_is_no_sound_is_refused_by_its_name(results, tmp_path, part):
    path = tmp_path / "upload.wav"
    path.write_text("no sound in here")
    with pytest.raises(ValueError, match=f"^cannot read {NAMES[part]} as") as caught:
        _read(part, path, results)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_is_no_voice(write, results, tmp_path, level):
    path = tmp_path / "upload.wav"
    soundfile.write(path, np.full(800, level), 8000, "FLOAT")
    with pytest.raises(ValueError, match=r"^the voice to extract \(.* dB\) must hold"):
        _read("voice", path, results)
    # Of a loudspeaker it is what there is to know.
    assert _read("far_end", path, results).far_end.length == 800


def test_a_short_voice_is_told_without_a_path(write, results):
    (warning,) = _read("voice", write(900), results).enrollment.warnings
    assert warning.startswith("the voice to extract lasts 0.")


def test_of_a_long_voice_the_beginning_is_taken_and_said(write, results):
    voice = _read("voice", write(31 * 8000), results, 60.0).enrollment
    assert voice.waveform.shape == (1, 30 * 8000)
    (warning,) = voice.warnings
    assert warning == "the voice to extract lasts 31.0 s: the first 30 s are used"


def test_a_far_end_that_does_not_fit_is_named_by_its_part(write, results):
    (warning,) = _read("far_end", write(800), results).far_end.misfit(16000, 16000)
    assert warning == (
        "the far-end signal lasts 0.100 s, the signal 1.000 s: silence follows"
    )
