import asyncio
import sys

import pytest

from sesame.inference.demo.parts import (
    Pictures,
    add_examples,
    add_player,
    add_upload,
    load_gradio,
)
from sesame.inference.figures import new_figure

gradio = pytest.importorskip("gradio")


@pytest.fixture
def page(folder):
    with gradio.Blocks(analytics_enabled=False) as page:
        yield page


@pytest.mark.parametrize("missing", ["gradio", "matplotlib"])
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"pip install '\.\[demo\]'"):
        load_gradio()


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1/", " FTP://a/b.wav", "file:///a"]
)
def test_an_upload_fetches_no_address(page, address):
    upload = add_upload(gradio, "Noisy", "noisy-upload")
    with pytest.raises(gradio.Error, match="addresses are not fetched"):
        asyncio.run(upload.async_move_resource_to_block_cache(address))


def test_an_upload_takes_a_file(page, noisy):
    upload = add_upload(gradio, "Noisy", "noisy-upload", ["upload"])
    kept = asyncio.run(upload.async_move_resource_to_block_cache(noisy))
    assert kept.endswith("a.wav")
    assert upload.sources == ["upload"]


def test_a_player_takes_results_only(page):
    player = add_player(gradio, "Enhanced", "enhanced-player")
    assert (player.label, player.elem_id) == ("Enhanced", "enhanced-player")
    assert player.interactive is False


def test_examples_are_named_after_their_first_file(page, noisy):
    inputs = [add_upload(gradio, "Noisy", name) for name in ("first", "second")]
    add_examples(gradio, [(noisy, noisy.with_name("clean.wav"))], inputs)
    datasets = [b for b in page.blocks.values() if isinstance(b, gradio.Dataset)]
    assert datasets[0].sample_labels == ["a"]


def test_experts_are_shown_where_there_are_some(page):
    pictures = Pictures(gradio, "The experts.")
    spectrograms, experts = new_figure(2, 1), new_figure(2, 1)
    shown, note, plot = pictures.show(spectrograms, experts)
    assert shown is spectrograms
    assert note == "The experts."
    assert plot.visible is True
    _, note, plot = pictures.show(spectrograms, None)
    assert "no mixture of experts" in note
    assert plot.visible is False
    assert len(pictures.components) == 3
