import pickle
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.dataloader import make_dataloader

from sesame.data.audio import read_audio
from sesame.data.dynamic_mixing import mixed_dataset
from sesame.data.mixing import active_rms

LENGTH = 1600


@pytest.fixture
def bank(tmp_path, audio_file):
    """Three utterances at two depths, two noises of two formats and rates."""
    audio_file("speech/s1/u1.wav", 4000, seed=1)
    audio_file("speech/s1/u2.flac", 900, seed=2)
    audio_file("speech/u3.wav", 6000, seed=3)
    audio_file("noise/n1.ogg", 5000, seed=4, subtype="VORBIS")
    audio_file("noise/deep/n2.wav", 9000, seed=5, rate=48_000)
    return tmp_path


def dataset_of(bank, segment_length=LENGTH, **options):
    return mixed_dataset(bank / "speech", bank / "noise", segment_length, **options)


def mixtures(dataset):
    return torch.stack([item["noisy_sig"] for item in dataset])


def test_ids_are_the_paths_in_sorted_order(bank):
    dataset = dataset_of(bank)
    assert [item["id"] for item in dataset] == ["s1-u1", "s1-u2", "u3"]
    assert dataset.data["u3"]["length"] == 6000 / 16_000
    assert set(dataset[0]) == {"id", "noisy_sig", "clean_sig"}


def test_order_of_the_file_system_does_not_matter(bank, monkeypatch):
    expected = mixtures(dataset_of(bank))
    found = type(bank).rglob
    monkeypatch.setattr(
        type(bank), "rglob", lambda *a: sorted(found(*a), key=str, reverse=True)
    )
    torch.testing.assert_close(mixtures(dataset_of(bank)), expected, rtol=0, atol=0)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 12.5])
@pytest.mark.parametrize("segment_length", [LENGTH, None])
def test_snr_is_exact_over_the_segment(bank, snr_db, segment_length):
    for item in dataset_of(bank, segment_length, snr_db=[snr_db]):
        clean, noisy = item["clean_sig"].numpy(), item["noisy_sig"].numpy()
        levels = active_rms(clean, 16_000) / active_rms(noisy - clean, 16_000)
        assert 20 * np.log10(levels) == pytest.approx(snr_db, abs=0.01)


def test_clean_signal_is_a_piece_of_its_file(bank):
    item = dataset_of(bank)[2]
    speech = read_audio(bank / "speech" / "u3.wav")
    pieces = np.lib.stride_tricks.sliding_window_view(speech, LENGTH)
    assert (pieces == item["clean_sig"].numpy()).all(axis=1).sum() == 1


def test_short_speech_is_repeated(bank):
    clean = dataset_of(bank)[1]["clean_sig"]
    torch.testing.assert_close(clean[900:], clean[: LENGTH - 900])


def test_without_a_segment_length_utterances_are_whole(bank):
    items = list(dataset_of(bank, None))
    assert [len(item["noisy_sig"]) for item in items] == [4000, 900, 6000]
    speech = read_audio(bank / "speech" / "s1" / "u1.wav")
    np.testing.assert_array_equal(items[0]["clean_sig"], speech)


def test_files_of_another_rate_are_resampled(bank):
    dataset = dataset_of(bank, None, sample_rate=8_000)
    assert [len(item["noisy_sig"]) for item in dataset] == [2000, 450, 3000]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_mixtures_depend_on_the_epoch_not_on_workers_or_order(bank, num_workers):
    counter = SimpleNamespace(current=1)
    dataset = dataset_of(bank, epoch_counter=counter, seed=5)
    loader = make_dataloader(dataset, batch_size=1, num_workers=num_workers)
    seen = []
    for counter.current in (1, 2, 1):
        seen.append(torch.cat([batch.noisy_sig.data for batch in loader]))
        backwards = [dataset[i]["noisy_sig"] for i in (2, 1, 0)]
        expected = torch.stack(backwards[::-1])
        torch.testing.assert_close(seen[-1], expected, rtol=0, atol=0)
    assert torch.equal(seen[0], seen[2])
    assert (seen[0] != seen[1]).any(dim=1).all()


def test_seed_changes_the_mixtures_and_no_counter_freezes_them(bank):
    dataset = dataset_of(bank, seed=1)
    assert torch.equal(mixtures(dataset), mixtures(dataset))
    assert not torch.equal(mixtures(dataset), mixtures(dataset_of(bank, seed=2)))


def test_items_of_one_file_differ_and_the_first_stays(bank):
    once, thrice = dataset_of(bank), dataset_of(bank, items_per_file=3)
    ids = [item["id"] for item in thrice]
    assert ids[:4] == ["s1-u1", "s1-u1+1", "s1-u1+2", "s1-u2"] and len(ids) == 9
    assert torch.equal(mixtures(thrice)[::3], mixtures(once))
    assert len({tuple(mixture.tolist()) for mixture in mixtures(thrice)}) == 9


def test_every_noise_and_every_snr_is_used(bank):
    counter = SimpleNamespace(current=0)
    dataset = dataset_of(bank, None, snr_db=[0, 5, 10], epoch_counter=counter)
    found = set()
    for counter.current in range(40):
        clean, noisy = dataset[0]["clean_sig"].numpy(), dataset[0]["noisy_sig"].numpy()
        levels = active_rms(clean, 16_000) / active_rms(noisy - clean, 16_000)
        found.add(round(20 * np.log10(levels), 1))
    assert found == {0.0, 5.0, 10.0}


def test_silent_noise_is_passed_over(bank):
    for name in ("silent1.wav", "silent2.wav"):
        soundfile.write(bank / "noise" / name, np.zeros(5000), 16_000)
    counter = SimpleNamespace(current=0)
    dataset = dataset_of(bank, epoch_counter=counter)
    for counter.current in range(20):
        item = dataset[0]
        # Half of the noises are silent: without a second draw half would be clean.
        assert not torch.equal(item["noisy_sig"], item["clean_sig"])


def test_nothing_but_silent_noise_gives_finite_clean_mixtures(bank, tmp_path):
    silent = tmp_path / "silent"
    silent.mkdir()
    soundfile.write(silent / "n.wav", np.zeros(5000), 16_000)
    for item in mixed_dataset(bank / "speech", silent, LENGTH):
        torch.testing.assert_close(item["noisy_sig"], item["clean_sig"])


def test_loud_files_stay_within_full_scale(bank):
    soundfile.write(bank / "speech" / "loud.wav", np.full(4000, 0.99), 16_000)
    for item in dataset_of(bank, snr_db=[-10.0]):
        assert item["noisy_sig"].abs().max() <= 1
        assert item["clean_sig"].abs().max() <= 1


def test_dataset_can_be_sent_to_a_spawned_worker(bank):
    dataset = dataset_of(bank, epoch_counter=SimpleNamespace(current=3))
    copy = pickle.loads(pickle.dumps(dataset))
    torch.testing.assert_close(mixtures(copy), mixtures(dataset))


def test_ids_that_collide_are_refused(bank, audio_file):
    audio_file("speech/s1-u2+1.wav", 100)
    assert len(dataset_of(bank)) == 4
    with pytest.raises(ValueError, match=r"must not have the same id 's1-u2\+1'"):
        dataset_of(bank, items_per_file=2)
    audio_file("speech/s1-u1.wav", 100)
    with pytest.raises(ValueError, match="must not have the same id 's1-u1'"):
        dataset_of(bank)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment_length": 0}, r"segment_length \(0\) must be at least 1"),
        ({"items_per_file": 0}, r"items_per_file \(0\) must be at least 1"),
        ({"snr_db": []}, r"snr_db \(\[\]\) must be"),
        ({"snr_db": [10, 0]}, r"snr_db \(\[10, 0\]\) must be \[min, max\]"),
    ],
)
def test_wrong_arguments_are_refused(bank, options, message):
    with pytest.raises(ValueError, match=message):
        dataset_of(bank, **options)


def test_a_broken_file_is_named_before_training_starts(bank):
    (bank / "noise" / "broken.wav").write_text("no audio")
    with pytest.raises(ValueError, match=r"broken\.wav"):
        dataset_of(bank)


def test_real_speech_and_noise_are_mixed_quickly(shared_audio):
    dataset = mixed_dataset(
        shared_audio / "speech" / "train", shared_audio / "noise" / "train", 32_000
    )
    assert len(dataset) > 200
    start = time.perf_counter()
    for index in range(60):
        item = dataset[index]
        assert item["noisy_sig"].shape == (32_000,)
        assert torch.isfinite(item["noisy_sig"]).all()
        assert not torch.equal(item["noisy_sig"], item["clean_sig"])
    # About 2 ms on an idle core; the rest is for a busy machine.
    assert (time.perf_counter() - start) / 60 < 0.05
