"""The page as a person uses it: Playwright drives Debian's chromium."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.inference import Enhancer, FlowEnhancer, Separator
from sesame.inference.audio_files import read_audio

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
# A microphone that beeps, and no question whether it may be used.
ARGUMENTS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    """The open page; it must ask nobody else for anything."""
    yield from _open(browser, server)


@pytest.fixture
def flow_page(browser, flow_server):
    """The same of a server with a SEFlow."""
    yield from _open(browser, flow_server)


def _open(browser, server):
    page = browser.new_page()
    page.set_default_timeout(20_000)
    asked = set()
    page.on("request", lambda request: asked.add(request.url))
    page.goto(server.url)
    page.get_by_role("button", name="Enhance", exact=True).wait_for()
    yield page
    page.close()
    own = (server.url + "/", "blob:" + server.url, "data:")
    assert not [url for url in asked if not url.startswith(own)]


@pytest.fixture
def files(tmp_path):
    """A noisy stereo file at 44100 Hz, and the clean one."""
    rng = np.random.default_rng(0)
    time = np.arange(44_100) / 44_100
    clean = 0.3 * np.sin(2 * np.pi * 440 * time)[:, None] * [1.0, 0.5]
    paths = tmp_path / "noisy.wav", tmp_path / "clean.wav"
    soundfile.write(paths[0], clean + rng.normal(0, 0.05, clean.shape), 44_100)
    soundfile.write(paths[1], clean, 44_100)
    return paths


def _upload(page, part, path):
    box = page.locator(f"#{part}-upload")
    box.locator("input[type=file]").set_input_files(path)
    _wait_for_sound(box)


def _wait_for_sound(block):
    """The player takes the place of the box to drop files in; shows the length."""
    length = block.locator("#duration")
    # As long as other waits: the default of 5 s is not enough on a busy machine.
    playwright.expect(length).to_have_text(re.compile("[1-9]"), timeout=20_000)
    minutes, seconds = length.inner_text().split(":")
    return 60 * int(minutes) + int(seconds)


def _run(page):
    page.get_by_role("button", name="Enhance", exact=True).click()
    page.locator("button:not([disabled])", has_text="Download").wait_for()


def _picture_widths(page):
    page.locator("img[src^='data:image/png']").nth(1).wait_for()
    pictures = page.locator("img[src^='data:image/png']")
    assert all(picture.is_visible() for picture in pictures.all())
    return [image.evaluate("it => it.naturalWidth") for image in pictures.all()]


def test_upload_run_listen_look_and_download(page, files, tiny_model, tmp_path):
    _upload(page, "noisy", files[0])
    _upload(page, "clean", files[1])
    _run(page)
    for player in ("noisy", "enhanced"):
        assert _wait_for_sound(page.locator(f"#{player}-player")) == 1
    assert [width > 500 for width in _picture_widths(page)] == [True, True]
    table = page.locator("table", has_text="si_sdr")
    assert table.locator("th").all_inner_texts() == ["metric", "noisy", "enhanced"]
    with page.expect_download() as download:
        page.get_by_text("Download the enhanced WAV").click()
    assert download.value.suggested_filename == "noisy_enhanced.wav"
    download.value.save_as(tmp_path / "saved.wav")

    enhancer = Enhancer.from_pretrained(tiny_model, device="cpu")
    enhancer.enhance_file(files[0], tmp_path / "expected.wav")
    saved, expected = (read_audio(tmp_path / f"{n}.wav") for n in ("saved", "expected"))
    assert saved.sample_rate == 44_100
    assert saved.waveform.shape == (2, 44_100)
    assert np.isfinite(saved.waveform).all()
    step = 2**-15
    np.testing.assert_allclose(saved.waveform, expected.waveform, rtol=0, atol=step)


def test_a_mixture_becomes_a_player_for_each_speaker(
    page, files, tiny_separator, tmp_path
):
    page.get_by_role("tab", name="Separate").click()
    _upload(page, "mixture", files[0])
    page.get_by_role("button", name="Separate", exact=True).click()
    for number in (1, 2):
        player = page.locator(f"#speaker{number}-player")
        assert _wait_for_sound(player) == 1
    assert [width > 500 for width in _picture_widths(page)] == [True, True]
    separator = Separator.from_pretrained(tiny_separator, device="cpu")
    sources = separator(read_audio(files[0]).waveform, 44_100)
    for number, source in enumerate(sources, 1):
        with page.expect_download() as download:
            page.get_by_text(f"Download speaker {number}").click()
        assert download.value.suggested_filename == f"noisy_speaker{number}.wav"
        saved = tmp_path / f"{number}.wav"
        download.value.save_as(saved)
        (found,) = read_audio(saved).waveform
        np.testing.assert_allclose(found, source, rtol=0, atol=2**-15)


def test_a_seflow_takes_a_voice_a_far_end_and_a_size(
    flow_page, files, tiny_flow, tmp_path
):
    page = flow_page
    for part, path in [("noisy", 0), ("voice", 1), ("far-end", 1)]:
        _upload(page, part, files[path])
    text = page.locator("#size-text")
    playwright.expect(text).to_contain_text("Size 12 of 12: width 1, depth 3: ")
    page.locator("#size-slider input[type=number]").fill("2")
    page.keyboard.press("Tab")
    playwright.expect(text).to_contain_text("Size 2 of 12: width 1/4, depth 2: ")
    playwright.expect(text).to_contain_text("GMAC/s at 16000 Hz")
    _run(page)
    assert _wait_for_sound(page.locator("#enhanced-player")) == 1
    facts = page.locator("#enhanced-facts")
    playwright.expect(facts).to_contain_text("Size 2 of 12: width 1/4, depth 2: ")
    playwright.expect(facts).to_contain_text("GMAC/s at 44100 Hz")
    with page.expect_download() as download:
        page.get_by_text("Download the enhanced WAV").click()
    download.value.save_as(tmp_path / "saved.wav")
    enhancer = FlowEnhancer.from_pretrained(tiny_flow, "cpu", 0.25, 2)
    priors = {"enrollment": files[1], "far_end": files[1]}
    expected = enhancer(read_audio(files[0]).waveform, 44_100, **priors)
    saved = read_audio(tmp_path / "saved.wav").waveform
    np.testing.assert_allclose(saved, expected, rtol=0, atol=2**-15)


def test_recording_works_as_uploading_does(page):
    page.get_by_label("Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop").first.click()
    seconds = _wait_for_sound(page.locator("#noisy-upload"))
    _run(page)
    assert _wait_for_sound(page.locator("#enhanced-player")) == seconds


def test_an_example_runs_with_its_scores(page):
    examples = Path(__file__).parents[3] / "data/minibank/noisy_testset_wav"
    assert examples.is_dir()
    page.get_by_role("button", name="p311_004").click()
    _wait_for_sound(page.locator("#clean-upload"))
    _run(page)
    page.locator("table", has_text="si_sdr").wait_for()


def test_a_bad_file_is_one_message_and_the_page_goes_on(page, files, server):
    long = files[0].with_name("long.wav")
    soundfile.write(long, np.zeros(121 * 4000), 4000)
    _upload(page, "noisy", long)
    page.get_by_role("button", name="Enhance", exact=True).click()
    toast = page.get_by_test_id("toast-body")
    toast.wait_for()
    text = toast.inner_text()
    assert "the noisy recording lasts more than 120 s" in text
    assert "Traceback" not in text
    assert str(server.cache) not in page.content()
    page.get_by_label("Clear").first.click()
    _upload(page, "noisy", files[0])
    _run(page)


def test_visitors_are_told_who_can_read_their_files(page):
    text = page.get_by_text("Any file in the cache can be read by whoever has its URL.")
    assert text.is_visible()
