import pickle
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.dataloader import make_dataloader

from sesame.data.segmental_snr import segmental_snr
from sesame.data.speech_shaped_noise import spectral_distance_db
from sesame.data.vb_demandex.dynamic import demandex_dataset
from sesame.data.vb_demandex.mixture import read_talkers

RATE = 16_000
LENGTH = 4000


def dataset_of(plain, segment_length=LENGTH, **options):
    return demandex_dataset(
        plain / "speech", plain / "noise", None, segment_length, **options
    )


def mixtures(dataset):
    return torch.stack([item["noisy_sig"] for item in dataset])


def parts(item):
    clean, noisy = item["clean_sig"].numpy(), item["noisy_sig"].numpy()
    return clean, noisy - clean


def test_items_are_those_of_any_mixed_data_set(plain):
    dataset = dataset_of(plain, items_per_file=2)
    assert len(dataset) == 12 and dataset[1]["id"] == "10-1-1+1"
    assert dataset.data["20-1-1"]["length"] == 6000 / RATE
    assert set(dataset[0]) == {"id", "noisy_sig", "clean_sig"}
    assert dataset[0]["noisy_sig"].dtype == torch.float32
    whole = dataset_of(plain, segment_length=None)
    assert [len(item["noisy_sig"]) for item in whole] == [6000] * 6


@pytest.mark.parametrize("noise_type", ["babble", "ssn", "environment"])
def test_every_noise_has_the_snr_and_the_level(plain, noise_type):
    for item in dataset_of(plain, noise_types=[noise_type], snr_db=[-5.0]):
        assert segmental_snr(*parts(item), RATE) == pytest.approx(-5, abs=0.02)
        level = 20 * np.log10(item["noisy_sig"].std())
        assert -36 < level < -14.9 and item["noisy_sig"].abs().max() <= 0.99001


def test_all_kinds_and_all_published_snrs_are_drawn(plain):
    counter = SimpleNamespace(current=0)
    dataset = dataset_of(plain, epoch_counter=counter)
    found = set()
    for counter.current in range(25):
        found |= {round(segmental_snr(*parts(item), RATE)) for item in dataset}
    assert found == {-10, -5, 0, 5, 10, 15, 20}


def test_two_snrs_are_the_ends_of_a_range(plain):
    dataset = dataset_of(plain, snr_db=[0, 1], items_per_file=4)
    found = [segmental_snr(*parts(item), RATE) for item in dataset]
    assert -0.05 < min(found) < max(found) < 1.05
    assert len({round(value, 2) for value in found}) > 10


def test_ssn_is_made_of_other_speakers(plain):
    dataset = dataset_of(plain, LENGTH * 8, noise_types=["ssn"], snr_db=[-10.0])
    files = sorted(str(path) for path in (plain / "speech").iterdir())
    speech = np.concatenate(read_talkers(files, RATE))
    _, noise = parts(dataset[0])
    assert spectral_distance_db(noise, speech) < 1


@pytest.mark.parametrize("num_workers", [0, 2])
def test_mixtures_depend_on_the_epoch_not_on_workers_or_order(plain, num_workers):
    counter = SimpleNamespace(current=1)
    dataset = dataset_of(plain, epoch_counter=counter, seed=5)
    loader = make_dataloader(dataset, batch_size=1, num_workers=num_workers)
    seen = []
    for counter.current in (1, 2, 1):
        seen.append(torch.cat([batch.noisy_sig.data for batch in loader]))
        backwards = [dataset[i]["noisy_sig"] for i in reversed(range(len(dataset)))]
        assert torch.equal(seen[-1], torch.stack(backwards[::-1]))
    assert torch.equal(seen[0], seen[2])
    assert (seen[0] != seen[1]).any(dim=1).all()


def test_without_a_counter_mixtures_stay_and_the_seed_changes_them(plain):
    dataset = dataset_of(plain)
    assert torch.equal(mixtures(dataset), mixtures(dataset))
    assert torch.equal(mixtures(pickle.loads(pickle.dumps(dataset))), mixtures(dataset))
    assert not torch.equal(mixtures(dataset), mixtures(dataset_of(plain, seed=1)))


def test_a_split_takes_its_speakers_and_channels(voicebank, demand):
    for split, ids in (
        ("train", ["p225_1", "p225_2", "p226_1"]),
        ("test", ["p232_1", "p257_1", "p257_2"]),
    ):
        dataset = demandex_dataset(voicebank, demand, split=split)
        assert [item["id"] for item in dataset] == ids


def test_silent_noise_is_passed_over(plain):
    for i in range(3):
        soundfile.write(plain / "noise" / f"mute{i}.wav", np.zeros(5000), RATE)
    counter = SimpleNamespace(current=0)
    dataset = dataset_of(plain, noise_types=["environment"], epoch_counter=counter)
    for counter.current in range(10):
        assert all(np.abs(parts(item)[1]).max() > 1e-4 for item in dataset)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment_length": 0}, r"segment_length \(0\) must be at least 1"),
        ({"items_per_file": 0}, r"items_per_file \(0\) must be at least 1"),
        ({"snr_db": []}, r"snr_db \(\[\]\) must be"),
        ({"snr_db": [10, 0]}, r"snr_db \(\[10, 0\]\) must be \[min, max\]"),
        ({"split": "dev"}, r"split \('dev'\) must be one of"),
        ({"noise_types": ["x"]}, r"noise_types \(\['x'\]\) must be among"),
    ],
)
def test_wrong_arguments_are_refused(plain, options, message):
    with pytest.raises(ValueError, match=message):
        dataset_of(plain, **options)


def test_real_recordings_are_mixed_quickly(shared_audio):
    dataset = demandex_dataset(
        shared_audio / "speech",
        shared_audio / "noise",
        shared_audio / "speech" / "babble",
        32_000,
    )
    assert len(dataset) > 200
    start = time.perf_counter()
    for index in range(30):
        item = dataset[index]
        assert torch.isfinite(item["noisy_sig"]).all()
        assert not torch.equal(item["noisy_sig"], item["clean_sig"])
    # About 25 ms on an idle core, most of it reading six talkers.
    assert (time.perf_counter() - start) / 30 < 0.3
