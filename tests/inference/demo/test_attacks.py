"""What visitors could try over HTTP, against a real server."""

import io
import ipaddress
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import soundfile

import sesame.inference.demo.app

SOURCE = sesame.inference.demo.app.__file__
NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 1600)


def _wav(samples=NOISE, rate=16000, subtype="PCM_16", container="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype, format=container)
    return file.getvalue()


def _assert_alive(server):
    path = server.upload("fine.wav", _wav()).json()[0]
    event, data = server.enhance(path)
    assert event == "complete"
    assert data[1]["path"].endswith("fine_enhanced.wav")
    event, data = server.separate(path)
    assert event == "complete"
    assert [Path(file["path"]).name for file in data[:2]] == [
        "fine_speaker1.wav",
        "fine_speaker2.wav",
    ]


@pytest.mark.parametrize(
    "path, statuses",
    [
        ("/gradio_api/file=/etc/passwd", {403}),
        (f"/gradio_api/file={SOURCE}", {403}),
        ("/gradio_api/file=../../../../../../etc/passwd", {403, 404}),
        ("/gradio_api/file=..%2f..%2f..%2f..%2fetc%2fpasswd", {403, 404}),
        ("/gradio_api/file=/tmp/../etc/passwd", {403, 404}),
        ("/../../../../etc/passwd", {404}),
        ("/static/../../../../../../../etc/passwd", {403, 404}),
        ("/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd", {403, 404}),
        ("/assets/..%2f..%2f..%2fblocks.py", {403, 404}),
        ("/gradio_api/file=http://127.0.0.1/", {403}),
        ("/gradio_api/file=https://example.com/", {403}),
        ("/gradio_api/file=%20http://169.254.169.254/", {403}),
        ("/gradio_api/proxy=http://127.0.0.1/", {403}),
        ("/monitoring", {403, 404}),
        ("/gradio_api/runs", {403, 404}),
        ("/gradio_api/run-history/buckets", {403, 404}),
    ],
)
def test_nothing_but_the_page_and_the_cache_is_served(server, path, statuses):
    answer = server.get(path)
    assert answer.status in statuses
    assert b"root:" not in answer.read()


def test_the_model_and_the_log_are_not_served(server, tiny_model):
    for path in (tiny_model / "config.json", server.output):
        assert path.is_file()
        assert server.status(f"/gradio_api/file={path}") == 403


def test_an_upload_over_the_limit_is_413_and_leaves_nothing(server):
    assert server.upload("large.wav", bytes(50 * 2**20 + 1)).status_code == 413
    assert not list(server.cache.rglob("large.wav"))
    assert not list(server.temporary.iterdir())


@pytest.mark.parametrize(
    "name", ["../../evil.wav", "/etc/evil.wav", "..\\..\\evil.wav", "a/../../evil.wav"]
)
def test_uploads_land_in_the_cache_whatever_their_name(server, name):
    answer = server.upload(name, _wav())
    assert answer.status_code == 200
    path = Path(answer.json()[0])
    assert path.resolve().is_relative_to(server.cache.resolve())
    assert path.is_file()
    assert not list(server.cache.parent.glob("*.wav"))


@pytest.mark.parametrize("name", ["page.html", "page.svg", "page.xml", "page.js"])
def test_uploads_never_become_pages(server, name):
    script = b"<script xmlns='http://www.w3.org/1999/xhtml'>alert(1)</script>"
    path = server.upload(name, script).json()[0]
    answer = server.get(f"/gradio_api/file={quote(path)}")
    assert answer.status == 200
    assert answer.getheader("Content-Disposition").startswith("attachment")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../../etc/passwd",
        SOURCE,
        "file:///etc/passwd",
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/theme.css",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:{port}/",
        "https://example.com/a.wav",
        " HTTPS://example.com/a.wav",
    ],
)
@pytest.mark.parametrize("part", ["noisy", "clean", "mixture"])
def test_only_uploads_are_inputs(server, path, part):
    path = path.format(port=server.port)
    uploaded = server.upload("a.wav", _wav()).json()[0]
    if part == "mixture":
        event, data = server.separate(path)
    else:
        event, data = server.enhance(
            *((path,) if part == "noisy" else (uploaded, path))
        )
    assert event == "error"
    message = (data or {}).get("error") or ""
    assert "root:" not in message
    assert str(server.cache) not in message


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("text.wav", b"no sound in here\n", "cannot read the noisy recording as audio"),
        ("empty.wav", b"", "cannot read the noisy recording as audio"),
        ("nothing.wav", _wav(np.zeros(0)), "the noisy recording has no sample"),
        ("cut.flac", _wav(container="FLAC")[:60], "the noisy recording"),
        ("wide.wav", _wav(np.zeros((9, 33))), "has 33 channels, 32 are allowed"),
        ("fast.wav", _wav(rate=2**31 - 1), "sampling rate of the noisy recording"),
        ("slow.wav", _wav(rate=1), "sampling rate of the noisy recording"),
        (
            "long.wav",
            _wav(np.zeros(600 * 4000), 4000, "PCM_U8"),
            "the noisy recording lasts more than 120 s",
        ),
        (
            "bomb.flac",
            _wav(np.zeros((110 * 96_000, 8)), 96_000, container="FLAC"),
            "the noisy recording holds more than",
        ),
        (
            "nan.wav",
            _wav(np.append(NOISE, np.nan), subtype="FLOAT"),
            "the noisy recording holds NaN or infinite samples",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_a_bad_file_is_one_clear_message(server, name, content, message):
    path = server.upload(name, content).json()[0]
    event, data = server.enhance(path)
    assert event == "error"
    assert message in data["error"]
    assert "\n" not in data["error"]
    assert str(server.cache) not in data["error"]
    assert "Traceback" not in data["error"]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"no sound in here", "cannot read the mixture as audio"),
        (_wav(np.zeros(600 * 4000), 4000), "the mixture lasts more than 120 s"),
        (_wav(rate=1), "sampling rate of the mixture"),
    ],
    ids=["text", "long", "slow"],
)
def test_a_bad_mixture_is_one_clear_message(server, content, message):
    path = server.upload("mix.wav", content).json()[0]
    event, data = server.separate(path)
    assert event == "error"
    assert message in data["error"]
    assert "\n" not in data["error"]
    assert str(server.cache) not in data["error"]
    assert "Traceback" not in data["error"]


@pytest.mark.parametrize(
    "attenuation, dry", [(-1, 0), (1e9, 0), (60, 2), (60, -1), ("x", 0), (None, None)]
)
def test_options_out_of_range_are_refused(server, attenuation, dry):
    path = server.upload("a.wav", _wav()).json()[0]
    event, data = server.enhance(path, attenuation=attenuation, dry=dry)
    assert event == "error"
    assert str(server.cache) not in str(data)


@pytest.mark.parametrize("part", ["voice", "far_end"])
@pytest.mark.parametrize(
    "content, message",
    [
        (b"no sound in here", "cannot read {} as audio"),
        (_wav(np.zeros(0)), "{} has no sample"),
        (_wav(np.zeros(600 * 4000), 4000), "{} lasts more than 120 s"),
        (_wav(rate=1), "sampling rate of {}"),
        (_wav(np.append(NOISE, np.nan), subtype="FLOAT"), "{} holds NaN"),
    ],
    ids=["text", "empty", "long", "slow", "nan"],
)
def test_a_bad_voice_or_far_end_is_one_clear_message(
    flow_server, part, content, message
):
    noisy, bad = (
        flow_server.upload(name, data).json()[0]
        for name, data in (("a.wav", _wav()), ("bad.wav", content))
    )
    event, data = flow_server.enhance_flow(noisy, **{part: bad})
    assert event == "error"
    name = {"voice": "the voice to extract", "far_end": "the far-end signal"}[part]
    assert message.format(name) in data["error"]
    assert "\n" not in data["error"] and "Traceback" not in data["error"]
    for folder in (flow_server.cache, flow_server.temporary):
        assert str(folder) not in data["error"]


def test_a_silent_voice_is_one_clear_message(flow_server):
    noisy, silent = (
        flow_server.upload("a.wav", _wav(samples)).json()[0]
        for samples in (NOISE, np.zeros(1600))
    )
    event, data = flow_server.enhance_flow(noisy, silent)
    assert event == "error"
    assert data["error"].startswith("the voice to extract (-inf dB) must hold a voice")
    assert str(flow_server.temporary) not in data["error"]


@pytest.mark.parametrize("part", ["voice", "far_end"])
@pytest.mark.parametrize(
    "path", ["/etc/passwd", SOURCE, "http://127.0.0.1:{port}/", "file:///etc/passwd"]
)
def test_only_uploads_are_voices_and_far_ends(flow_server, part, path):
    noisy = flow_server.upload("a.wav", _wav()).json()[0]
    bad = path.format(port=flow_server.port)
    event, data = flow_server.enhance_flow(noisy, **{part: bad})
    assert event == "error"
    message = (data or {}).get("error") or ""
    assert "root:" not in message and str(flow_server.cache) not in message


@pytest.mark.parametrize("size", [0, 99, 1.5, "x", None])
def test_a_size_out_of_range_is_refused(flow_server, size):
    noisy = flow_server.upload("a.wav", _wav()).json()[0]
    event, data = flow_server.enhance_flow(noisy, size=size)
    assert event == "error"
    assert str(flow_server.cache) not in str(data)


def test_a_seflow_answers_after_all_of_it(flow_server):
    noisy, voice = (
        flow_server.upload(name, _wav()).json()[0] for name in ("a.wav", "v.wav")
    )
    event, data = flow_server.enhance_flow(noisy, voice, voice, 12)
    assert event == "complete"
    assert data[1]["path"].endswith("a_enhanced.wav")
    assert data[-1].startswith("Size 12 of 12: width 1, depth 3: ")
    assert not list(flow_server.temporary.iterdir())


@pytest.mark.slow
def test_of_twenty_requests_at_once_each_gets_an_answer(server):
    path = server.upload("a.wav", _wav()).json()[0]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: server.enhance(path), range(20)))
    events = [event for event, _ in answers]
    full = [text for event, text in answers if event == 503]
    assert set(events) <= {"complete", 503}
    # One is computed and sixteen wait, if all came before the first was done.
    assert events.count("complete") >= 16
    assert all("Queue is full" in text for text in full)
    _assert_alive(server)
    assert not list(server.temporary.iterdir())


def test_the_server_has_never_spoken_to_anybody_else(server):
    _assert_alive(server)
    for host in set(server.hosts.read_text().split("\n")) - {"", "None", "localhost"}:
        assert ipaddress.ip_address(host).is_loopback, host
