import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from speechbrain.dataio.dataloader import make_dataloader

from sesame.data.audio import read_audio
from sesame.data.crops import RandomCrop
from sesame.data.manifest import write_manifest
from sesame.data.pipelines import paired_dataset

LENGTHS = {"a": 3000, "b": 5000, "c": 400}


@pytest.fixture
def manifest(tmp_path, audio_file):
    """Noisy files at {data_root}, clean ones (half the level) at {save_root}."""
    entries = {}
    for seed, (name, length) in enumerate(LENGTHS.items()):
        audio_file(f"corpus/{name}.wav", length, seed=seed)
        audio_file(f"save/{name}.flac", length, seed=seed + 10)
        entries[name] = {
            "noisy_wav": f"{{data_root}}/{name}.wav",
            "clean_wav": f"{{save_root}}/{name}.flac",
            "length": length / 16_000,
        }
    write_manifest(tmp_path / "save" / "train.json", entries)
    return tmp_path / "save" / "train.json"


def corpus(manifest):
    return manifest.parents[1] / "corpus"


def test_whole_utterances_are_the_files(manifest):
    dataset = paired_dataset(manifest, corpus(manifest))
    assert [item["id"] for item in dataset] == list(LENGTHS)
    for item in dataset:
        assert set(item) == {"id", "noisy_sig", "clean_sig"}
        noisy = read_audio(corpus(manifest) / f"{item['id']}.wav")
        clean = read_audio(manifest.parent / f"{item['id']}.flac")
        assert item["noisy_sig"].dtype == torch.float32
        np.testing.assert_array_equal(item["noisy_sig"].numpy(), noisy)
        np.testing.assert_array_equal(item["clean_sig"].numpy(), clean)


def test_both_signals_are_cropped_at_the_same_place(manifest):
    crop = RandomCrop(1000, seed=3)
    for item in paired_dataset(manifest, corpus(manifest), crop):
        start, stop = crop.span(item["id"], LENGTHS[item["id"]])
        noisy = read_audio(corpus(manifest) / f"{item['id']}.wav")[start:stop]
        clean = read_audio(manifest.parent / f"{item['id']}.flac")[start:stop]
        np.testing.assert_array_equal(item["noisy_sig"], np.resize(noisy, 1000))
        np.testing.assert_array_equal(item["clean_sig"], np.resize(clean, 1000))


def test_a_short_utterance_is_repeated_not_padded(manifest):
    item = paired_dataset(manifest, corpus(manifest), RandomCrop(1000, seed=0))[2]
    assert item["id"] == "c"
    torch.testing.assert_close(item["noisy_sig"][400:800], item["noisy_sig"][:400])
    torch.testing.assert_close(item["noisy_sig"][800:], item["noisy_sig"][:200])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_follow_the_epoch_not_the_workers(manifest, num_workers):
    counter = SimpleNamespace(current=1)
    crop = RandomCrop(500, seed=0, epoch_counter=counter)
    dataset = paired_dataset(manifest, corpus(manifest), crop)
    loader = make_dataloader(dataset, batch_size=2, num_workers=num_workers)
    epochs = []
    for counter.current in (1, 2):
        epochs.append(torch.cat([batch.noisy_sig.data for batch in loader]))
        expected = torch.stack([item["noisy_sig"] for item in dataset])
        torch.testing.assert_close(epochs[-1], expected, rtol=0, atol=0)
    assert not torch.equal(epochs[0], epochs[1])


def test_dataset_can_be_sent_to_a_spawned_worker(manifest):
    crop = RandomCrop(500, seed=0, epoch_counter=SimpleNamespace(current=1))
    dataset = paired_dataset(manifest, corpus(manifest), crop)
    copy = pickle.loads(pickle.dumps(dataset))
    torch.testing.assert_close(copy[1]["noisy_sig"], dataset[1]["noisy_sig"])


def test_another_rate_is_refused(manifest):
    dataset = paired_dataset(manifest, corpus(manifest), sample_rate=8_000)
    with pytest.raises(ValueError, match=r"a\.wav \(16000 Hz\) must be 8000 Hz"):
        dataset[0]


def test_unequal_lengths_are_refused(manifest, audio_file):
    audio_file("corpus/b.wav", 4999)
    dataset = paired_dataset(manifest, corpus(manifest))
    with pytest.raises(ValueError, match=r"b\.wav \(4999 .* \(5000 .* equal lengths"):
        dataset[1]


def test_a_missing_file_is_named(manifest):
    dataset = paired_dataset(manifest, "/nowhere")
    with pytest.raises(ValueError, match=r"/nowhere/a\.wav"):
        dataset[0]
