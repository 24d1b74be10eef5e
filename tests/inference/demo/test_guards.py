import asyncio

import numpy as np
import pytest
import soundfile

from sesame.inference.audio_files import read_audio
from sesame.inference.demo import guards
from sesame.inference.demo.guards import Deadline, RefuseAddresses, decode_upload

NOISE = np.random.default_rng(0).uniform(-0.9, 0.9, (3000, 2))


def _decode(source, max_seconds=2.0):
    target = source.with_name("decoded.wav")
    return decode_upload(source, target, "the upload", max_seconds), target


def _refusal(source, max_seconds=2.0):
    """The message; nothing but the source is left in its folder."""
    with pytest.raises(ValueError) as caught:
        _decode(source, max_seconds)
    assert list(source.parent.iterdir()) == [source]
    message = str(caught.value)
    assert str(source.parent) not in message
    assert message.count("\n") == 0
    return message


@pytest.mark.parametrize("seconds, accepted", [(2.0, True), (1.99, False)])
def test_the_longest_signal_is_the_one_that_is_promised(tmp_path, seconds, accepted):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(8000), 4000)
    if accepted:
        assert _decode(path, seconds)[0].num_frames == 8000
    else:
        assert "lasts more than 1.99 s" in _refusal(path, seconds)


def test_a_header_that_does_not_say_the_length_is_no_way_around_it(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(40_000), 4000)
    content = bytearray(path.read_bytes())
    # The last 36 bits of these eight bytes of STREAMINFO count the samples; 0: unknown.
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert soundfile.info(path).frames == guards.UNKNOWN_LENGTH
    assert "lasts more than 2 s" in _refusal(path)
    assert _decode(path, 20.0)[0].sample_rate == 4000


def test_a_small_file_that_holds_very_many_samples_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(guards, "MAX_SAMPLES", 5999)
    path = tmp_path / "a.flac"
    soundfile.write(path, NOISE, 16000)
    assert "more than 5999 samples in its 2 channels" in _refusal(path)


@pytest.mark.parametrize("rate", [3999, 384_001, 2**31 - 1])
def test_rates_out_of_range_are_refused_from_the_header(tmp_path, rate):
    path = tmp_path / "a.wav"
    soundfile.write(path, NOISE, rate)
    assert f"sampling rate of the upload ({rate} Hz)" in _refusal(path)


def test_33_channels_are_refused_from_the_header(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((10, 33)), 16000)
    assert _refusal(path) == "the upload has 33 channels, 32 are allowed"


@pytest.mark.parametrize("content", [b"", b"no sound in here\n", b"RIFF\x04\0\0\0WAVE"])
def test_what_is_not_audio_is_refused(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert _refusal(path).startswith("cannot read the upload as audio: ")


def test_a_folder_is_refused(tmp_path):
    path = tmp_path / "folder.wav"
    path.mkdir()
    assert _refusal(path) == "cannot read the upload: is a folder"


def test_a_file_without_samples_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((0, 1)), 16000)
    assert _refusal(path) == "the upload has no sample"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path, value):
    path = tmp_path / "a.wav"
    noise = NOISE.copy()
    noise[2999, 1] = value
    soundfile.write(path, noise, 16000, subtype="FLOAT")
    assert _refusal(path) == "the upload holds NaN or infinite samples"


@pytest.mark.parametrize(
    "suffix, subtype, kept",
    [
        (".wav", "PCM_U8", "PCM_U8"),
        (".wav", "PCM_24", "PCM_24"),
        (".wav", "DOUBLE", "DOUBLE"),
        (".wav", "IMA_ADPCM", "FLOAT"),
        (".flac", "PCM_24", "PCM_24"),
        (".flac", "PCM_S8", "FLOAT"),
        (".ogg", "VORBIS", "FLOAT"),
        (".mp3", "MPEG_LAYER_III", "FLOAT"),
    ],
)
def test_decoding_loses_nothing(tmp_path, suffix, subtype, kept):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, NOISE, 16000, subtype=subtype)
    info, target = _decode(path)
    decoded, original = read_audio(target), read_audio(path)
    assert (info.sample_rate, info.channels) == (16000, 2)
    assert (decoded.sample_rate, decoded.subtype) == (16000, kept)
    np.testing.assert_allclose(decoded.waveform, original.waveform, rtol=0, atol=1e-7)


def test_silence_is_accepted(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((100, 2)), 16000)
    assert not read_audio(_decode(path)[1]).waveform.any()


def test_a_deadline_is_over_after_its_time_and_not_before():
    now = [100.0]
    deadline = Deadline(5.0, clock=lambda: now[0])
    now[0] = 105.0
    deadline.check()
    now[0] = 105.1
    with pytest.raises(ValueError, match="longer than the 5 s"):
        deadline.check()


@pytest.mark.parametrize(
    "path, passed",
    [
        ("/", True),
        ("/gradio_api/file=/cache/a.wav", True),
        ("/gradio_api/file=/cache/http.wav", True),
        ("/gradio_api/file=http://10.0.0.1/", False),
        ("/gradio_api/file=HTTPS://example.com/", False),
        ("/gradio_api/file= \thttp://example.com/", False),
        ("/gradio_api/file=/http://example.com/", False),
        ("/gradio_api/proxy=https://example.com/", False),
        ("/gradio_api/file=file:///etc/passwd", False),
    ],
)
def test_only_requests_that_name_another_address_are_refused(path, passed):
    reached, answers = [], []

    async def app(scope, receive, send):
        reached.append(scope["path"])

    async def send(message):
        answers.append(message)

    asyncio.run(RefuseAddresses(app)({"type": "http", "path": path}, None, send))
    assert reached == ([path] if passed else [])
    assert [a.get("status") for a in answers] == ([] if passed else [403, None])


def test_connections_without_a_path_pass():
    reached = []

    async def app(scope, receive, send):
        reached.append(scope["type"])

    asyncio.run(RefuseAddresses(app)({"type": "lifespan"}, None, None))
    assert reached == ["lifespan"]
