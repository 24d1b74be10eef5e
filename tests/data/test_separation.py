import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import make_dataloader

from sesame.data.audio import read_audio
from sesame.data.crops import RandomCrop
from sesame.data.manifest import write_json, write_manifest
from sesame.data.separation import (
    mixture_keys,
    pad_last_axis,
    separation_batch,
    separation_dataset,
)

LENGTHS = {"a": 3000, "b": 5000, "c": 400}


@pytest.fixture(params=[2, 3])
def manifest(request, tmp_path, audio_file):
    """Mixtures of two and of three sources; all files are different noises."""
    entries, keys = {}, mixture_keys(request.param)
    for name, length in LENGTHS.items():
        for key in keys:
            seed = len(entries) * 10 + len(key) + int(key[1].isdigit() and key[1])
            audio_file(f"corpus/{key}/{name}.wav", length, seed=seed)
        entries[name] = {key: f"{{data_root}}/{key}/{name}.wav" for key in keys}
        entries[name]["length"] = length / 16_000
    write_manifest(tmp_path / "save" / "train.json", entries, keys)
    return tmp_path / "save" / "train.json"


def corpus(manifest):
    return manifest.parents[1] / "corpus"


def files_of(manifest, name):
    paths = sorted(corpus(manifest).glob(f"*/{name}.wav"))
    mixture, *sources = (read_audio(path) for path in paths)
    return mixture, np.stack(sources)


def test_whole_mixtures_are_the_files_in_the_order_of_the_sources(manifest):
    dataset = separation_dataset(manifest, corpus(manifest))
    assert [item["id"] for item in dataset] == list(LENGTHS)
    for item in dataset:
        assert set(item) == {"id", "mixture_sig", "source_sigs"}
        mixture, sources = files_of(manifest, item["id"])
        assert item["mixture_sig"].dtype == item["source_sigs"].dtype == torch.float32
        np.testing.assert_array_equal(item["mixture_sig"].numpy(), mixture)
        np.testing.assert_array_equal(item["source_sigs"].numpy(), sources)


def test_mixture_and_sources_get_the_same_crop(manifest):
    crop = RandomCrop(1000, seed=3)
    for item in separation_dataset(manifest, corpus(manifest), crop):
        start, stop = crop.span(item["id"], LENGTHS[item["id"]])
        mixture, sources = files_of(manifest, item["id"])
        expected = np.resize(mixture[start:stop], 1000)
        np.testing.assert_array_equal(item["mixture_sig"], expected)
        for source, whole in zip(item["source_sigs"], sources, strict=True):
            np.testing.assert_array_equal(source, np.resize(whole[start:stop], 1000))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_follow_the_epoch_not_the_workers(manifest, num_workers):
    counter = SimpleNamespace(current=1)
    crop = RandomCrop(500, seed=0, epoch_counter=counter)
    dataset = separation_dataset(manifest, corpus(manifest), crop)
    loader = make_dataloader(
        dataset, batch_size=2, num_workers=num_workers, collate_fn=separation_batch
    )
    epochs = []
    for counter.current in (1, 2):
        epochs.append(torch.cat([batch.source_sigs.data for batch in loader]))
        expected = torch.stack([item["source_sigs"] for item in dataset])
        torch.testing.assert_close(epochs[-1], expected, rtol=0, atol=0)
    assert not torch.equal(epochs[0], epochs[1])


def test_dataset_can_be_sent_to_a_spawned_worker(manifest):
    dataset = separation_dataset(manifest, corpus(manifest), RandomCrop(100, seed=0))
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[0]["source_sigs"], dataset[0]["source_sigs"])


def test_mixtures_with_another_number_of_sources_are_refused(tmp_path):
    keys = mixture_keys(3)
    entries = {n: {**dict.fromkeys(keys, "x"), "length": 1.0} for n in ("a", "b")}
    del entries["b"]["s3_wav"]
    write_json(tmp_path / "m.json", entries)
    with pytest.raises(ValueError, match=r"sources of b \(2\) must be that of a \(3\)"):
        separation_dataset(tmp_path / "m.json", tmp_path)
    del entries["b"]["s1_wav"]
    write_json(tmp_path / "m.json", entries)
    with pytest.raises(ValueError, match="b lacks s1_wav"):
        separation_dataset(tmp_path / "m.json", tmp_path)


def test_files_of_unequal_length_or_rate_are_named(manifest, audio_file):
    audio_file("corpus/s2_wav/a.wav", 2999)
    audio_file("corpus/s2_wav/b.wav", 5000, rate=8_000)
    dataset = separation_dataset(manifest, corpus(manifest))
    with pytest.raises(ValueError, match=r"s2_wav/a\.wav \(2999 samples\) must have"):
        dataset[0]
    with pytest.raises(ValueError, match=r"s2_wav/b\.wav \(8000 Hz\) must be 16000"):
        dataset[1]


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=5), st.integers(1, 3))
def test_padding_keeps_every_sample_and_every_length(lengths, num_sources):
    tensors = [torch.randn(num_sources, length) for length in lengths]
    data, parts = pad_last_axis(tensors)
    assert data.shape == (len(lengths), num_sources, max(lengths))
    assert (parts * data.shape[-1]).round().int().tolist() == lengths
    for row, tensor, length in zip(data, tensors, lengths, strict=True):
        assert torch.equal(row[:, :length], tensor)
        assert not row[:, length:].any()


def test_a_batch_of_unequal_mixtures_keeps_their_lengths(manifest):
    items = list(separation_dataset(manifest, corpus(manifest)))
    # SpeechBrain's own padding looks at the first axis only.
    with pytest.raises(OSError, match="same dimensions except for the first"):
        PaddedBatch(items)
    batch = separation_batch(items)
    assert isinstance(batch, PaddedBatch) and batch.id == list(LENGTHS)
    for signal, parts in (batch.mixture_sig, batch.source_sigs):
        lengths = (parts * signal.shape[-1]).round().int().tolist()
        assert lengths == list(LENGTHS.values())
    batch.to(torch.float64)
    assert batch.source_sigs.data.dtype == torch.float64
