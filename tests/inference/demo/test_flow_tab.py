import numpy as np
import pytest
import soundfile

from sesame.inference import FlowEnhancer
from sesame.inference.audio_files import read_audio
from sesame.inference.demo.answers import Limits
from sesame.inference.demo.flow_tab import add_flow_tab
from sesame.inference.size_report import report_size

gradio = pytest.importorskip("gradio")
FULL = 12


@pytest.fixture
def enhancer(flow_network):
    return FlowEnhancer(flow_network, "cpu")


def _page(enhancer, max_seconds=2.0, budget_seconds=60.0, **options):
    with gradio.Blocks(analytics_enabled=False) as page:
        limits = Limits(max_seconds, budget_seconds)
        add_flow_tab(gradio, enhancer, limits, **options)
    return page


@pytest.fixture
def build(enhancer, folder, handler):
    """Makes the tab, and returns what its button does."""

    def make(**limits):
        enhance = handler(_page(enhancer, **limits), "enhance")

        def run(noisy, voice=None, far_end=None, size=FULL, attenuation=60, dry=0):
            noisy, voice, far_end = (
                path and str(path) for path in (noisy, voice, far_end)
            )
            return enhance(noisy, None, attenuation, dry, voice, far_end, size)

        return run

    return make


@pytest.fixture
def voice(folder):
    path = folder / "voice.wav"
    noise = 0.1 * np.random.default_rng(1).standard_normal(8000)
    soundfile.write(path, noise, 8000)
    return path


@pytest.fixture
def far_end(folder):
    path = folder / "far.wav"
    noise = 0.1 * np.random.default_rng(2).standard_normal(4000)
    soundfile.write(path, noise, 16000)
    return path


@pytest.mark.parametrize("with_voice", [False, True])
@pytest.mark.parametrize("with_far_end", [False, True])
@pytest.mark.parametrize("size", [1, FULL])
def test_inputs_and_size_reach_the_network(
    build, flow_network, noisy, voice, far_end, with_voice, with_far_end, size
):
    voice, far_end = voice if with_voice else None, far_end if with_far_end else None
    shape = (0.25, 1) if size == 1 else (1.0, 3)
    found = read_audio(build()(noisy, voice, far_end, size)[1]).waveform
    expected = FlowEnhancer(flow_network, "cpu", *shape)(
        read_audio(noisy).waveform, 16000, enrollment=voice, far_end=far_end
    )
    # The upload has 16 bits, and so has the result.
    expected = expected.clip(-1, 1 - 2**-15)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2**-15)


def test_each_input_matters(build, noisy, voice, far_end):
    run = build()
    results = [
        read_audio(run(noisy, *given)[1]).waveform
        for given in [(), (voice,), (None, far_end), (voice, far_end), (None, None, 1)]
    ]
    for number, first in enumerate(results):
        for second in results[number + 1 :]:
            assert np.abs(first - second).max() > 1e-3


def test_the_size_is_told_at_the_rate_of_the_upload(build, flow_network, folder, voice):
    path = folder / "b.wav"
    soundfile.write(path, np.full(900, 0.1), 22050)
    facts = build()(path, voice, size=1)[-1]
    report = report_size(flow_network, 22050, 0.25, 1, enrolled=True)
    assert facts == f"Size 1 of 12: {report}."


def test_a_far_end_that_does_not_fit_is_told_without_a_path(build, folder, noisy):
    short = folder / "short.wav"
    soundfile.write(short, np.full(800, 0.1), 16000)
    _, note = build()(noisy, far_end=short)[-1].split("\n\n")
    assert note == (
        "the far-end signal lasts 0.050 s, the signal 0.250 s: silence follows"
    )


def test_a_request_leaves_files_in_the_cache_only(build, folder, noisy, voice, far_end):
    results = build()(noisy, voice, far_end)
    for path in results[:2]:
        assert path.startswith(str(folder / "cache"))
    assert not list((folder / "temporary").iterdir())
    assert not list((folder / "cache").rglob("voice*"))


@pytest.mark.parametrize("part", ["voice", "far_end"])
def test_a_bad_input_is_one_message_and_leaves_no_file(build, folder, noisy, part):
    bad = folder / "bad.wav"
    bad.write_text("no sound in here")
    name = {"voice": "the voice to extract", "far_end": "the far-end signal"}[part]
    with pytest.raises(gradio.Error, match=f"cannot read {name} as audio") as caught:
        build()(noisy, **{part: bad})
    assert str(folder) not in caught.value.message
    assert "\n" not in caught.value.message
    assert not list((folder / "temporary").iterdir())
    assert not list((folder / "cache").rglob("*.wav"))


@pytest.mark.parametrize("size", [0, 13, 1.5, None])
def test_a_size_that_there_is_not_is_one_message(build, noisy, size):
    with pytest.raises(gradio.Error, match="must be a whole number from 1 to 12"):
        build()(noisy, size=size)


def test_a_request_without_a_file_says_what_to_do(build, voice):
    with pytest.raises(gradio.Error, match="upload or record a noisy file first"):
        build()(None, voice)


def test_a_request_ends_with_its_time(build, noisy):
    with pytest.raises(gradio.Error, match="longer than the 1e-06 s"):
        build(budget_seconds=1e-6)(noisy)


def test_no_request_changes_the_next(build, noisy, voice, far_end):
    run = build()
    first, _, again = (
        read_audio(run(noisy, *given)[1]).waveform
        for given in [(), (voice, far_end, 1), ()]
    )
    np.testing.assert_array_equal(first, again)


def test_the_sliders_of_strength_work(build, noisy):
    untouched = read_audio(build()(noisy, attenuation=0)[1]).waveform
    np.testing.assert_allclose(untouched, read_audio(noisy).waveform, atol=2**-15)


def test_there_is_no_map_of_experts(build, noisy):
    *_, note, plot, _ = build()(noisy)
    assert "no mixture of experts" in note
    assert plot.visible is False


def test_the_page_tells_the_model_the_limits_and_the_inputs(enhancer):
    page = _page(enhancer, max_seconds=7.0, model_name="flow")
    texts = [b.value for b in page.blocks.values() if isinstance(b, gradio.Markdown)]
    assert "Model: flow." in texts[0] and "up to 7 s" in texts[0]
    uploads = [b for b in page.blocks.values() if isinstance(b, gradio.Audio)]
    assert [upload.label for upload in uploads[:4]] == [
        "Noisy speech",
        "Clean reference, if there is one",
        "Voice to extract, if there is one",
        "Far end (loudspeaker), if there is one",
    ]
    assert [upload.interactive for upload in uploads[4:]] == [False, False]
