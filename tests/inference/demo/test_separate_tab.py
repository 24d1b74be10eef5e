from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.inference import Separator
from sesame.inference.audio_files import read_audio
from sesame.inference.demo.answers import Limits
from sesame.inference.demo.separate_tab import add_separate_tab

gradio = pytest.importorskip("gradio")


def _page(separator, max_seconds=2.0, budget_seconds=60.0, **options):
    with gradio.Blocks(analytics_enabled=False) as page:
        limits = Limits(max_seconds, budget_seconds)
        add_separate_tab(gradio, separator, limits, **options)
    return page


@pytest.fixture
def build(separator, folder, handler):
    """Makes the tab, and returns what its button does."""
    return lambda **limits: handler(_page(separator, **limits), "separate")


def test_a_request_leaves_files_in_the_cache_only(build, folder, noisy):
    results = build()(str(noisy))
    assert len(results) == 2 + 2 + 3
    for number, path in enumerate(results[:2], 1):
        assert path.startswith(str(folder / "cache"))
        assert Path(path).name == f"a_speaker{number}.wav"
    assert not list((folder / "temporary").iterdir())


def test_players_and_downloads_are_of_one_order(build, noisy):
    *speakers, first, second, _, note, plot = build()(str(noisy))
    assert [first.value["path"], second.value["path"]] == speakers
    assert first.interactive and second.interactive
    assert "The experts" in note
    assert plot.visible is True


def test_players_hold_the_sources(build, separator, noisy):
    first, second, *_ = build()(str(noisy))
    found = np.concatenate([read_audio(path).waveform for path in (first, second)])
    expected = separator(read_audio(noisy).waveform, 16_000)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2**-15)


def test_a_failed_request_leaves_no_file(build, folder, noisy):
    separate = build(max_seconds=0.1)
    with pytest.raises(gradio.Error, match=r"the mixture lasts more than 0\.1 s"):
        separate(str(noisy))
    assert not list((folder / "temporary").iterdir())
    assert not list((folder / "cache").rglob("*.wav"))


def test_a_request_ends_with_its_time(build, noisy):
    with pytest.raises(gradio.Error, match="longer than the 1e-06 s"):
        build(budget_seconds=1e-6)(str(noisy))


def test_a_request_without_a_file_says_what_to_do(build):
    with pytest.raises(gradio.Error, match="upload or record a mixture first"):
        build()(None)


def test_no_request_changes_the_next(build, folder, noisy):
    other = folder / "b.wav"
    soundfile.write(other, np.random.default_rng(1).uniform(-0.3, 0.3, 3000), 8000)
    separate = build()
    first, _, again = (
        read_audio(separate(str(path))[0]).waveform for path in (noisy, other, noisy)
    )
    np.testing.assert_array_equal(first, again)


def test_there_is_a_player_and_a_download_per_speaker(separator_folder):
    folder = separator_folder(num_sources=3).folder
    page = _page(Separator.from_pretrained(folder, "cpu"), model_name="three")
    blocks = list(page.blocks.values())
    players = [b.label for b in blocks if isinstance(b, gradio.Audio)]
    assert players == ["Mixture of speakers", "Speaker 1", "Speaker 2", "Speaker 3"]
    downloads = [b.label for b in blocks if isinstance(b, gradio.DownloadButton)]
    assert downloads == [f"Download speaker {number}" for number in (1, 2, 3)]
    text = next(b.value for b in blocks if isinstance(b, gradio.Markdown))
    assert "3 people" in text
    assert "Model: three." in text


def test_mixtures_are_offered_by_name(separator, folder, noisy):
    page = _page(separator, mixtures=[noisy])
    datasets = [b for b in page.blocks.values() if isinstance(b, gradio.Dataset)]
    assert datasets[0].sample_labels == ["a"]
