import pickle
import time
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.dataloader import make_dataloader

from sesame.data.audio import list_audio, read_audio
from sesame.data.mixing import active_rms
from sesame.data.separation import separation_batch
from sesame.data.speaker_mixing import MixSpeakers, speaker_mixture_dataset
from sesame.data.vb_demandex.sources import Utterance, speaker_of_file

RATE = 16_000
LENGTH = 1600
LENGTHS = {
    "19-198-0000.flac": 4000,
    "19-198-0001.flac": 900,
    "26/495/26-495-0000.wav": 3000,
    "27-123-0000.wav": 5000,
    "27-123-0001.ogg": 2500,
}


@pytest.fixture
def speech(tmp_path, audio_file):
    """Five utterances of three speakers, at two depths, in three formats."""
    for seed, (name, length) in enumerate(LENGTHS.items()):
        subtype = "VORBIS" if name.endswith("ogg") else "PCM_16"
        audio_file(f"speech/{name}", length, seed=seed, subtype=subtype)
    return tmp_path / "speech"


def mixtures(dataset):
    return torch.stack([item["mixture_sig"] for item in dataset])


def levels_db(item):
    return [20 * np.log10(active_rms(s.numpy(), RATE)) for s in item["source_sigs"]]


def origins(source, folder):
    """Speakers whose files hold a piece that is the source but for its level."""
    source = source.numpy().astype(np.float64)
    found = set()
    for path in list_audio(folder):
        file = read_audio(path).astype(np.float64)
        # Peak of the normalised cross-correlation; files repeat to fill a segment.
        file = np.resize(file, max(len(file), len(source)))
        dots = np.correlate(file, source, "valid")
        power = np.convolve(np.square(file), np.ones(len(source)), "valid")
        if (dots / np.sqrt(power * (source @ source))).max() > 0.999:
            found.add(speaker_of_file(path, folder))
    return found


@pytest.mark.parametrize("num_speakers", [2, 3])
@pytest.mark.parametrize("segment_length", [LENGTH, None])
def test_sources_are_pieces_of_different_speakers(speech, num_speakers, segment_length):
    counter = SimpleNamespace(current=0)
    dataset = speaker_mixture_dataset(
        speech, num_speakers, segment_length, epoch_counter=counter
    )
    for counter.current in range(3):
        for item in dataset:
            whose = [origins(source, speech) for source in item["source_sigs"]]
            assert all(len(speakers) == 1 for speakers in whose)
            assert len(set.union(*whose)) == num_speakers
            assert whose[0] == {item["id"].split("-")[-3]}


def test_mixture_is_the_sum_of_float32_sources(speech):
    for item in speaker_mixture_dataset(speech, 3):
        assert item["mixture_sig"].dtype == item["source_sigs"].dtype == torch.float32
        total = item["source_sigs"].sum(dim=0)
        torch.testing.assert_close(item["mixture_sig"], total, rtol=0, atol=1e-6)


def test_ids_are_the_paths_in_sorted_order(speech):
    dataset = speaker_mixture_dataset(speech)
    assert [item["id"] for item in dataset] == [
        "19-198-0000",
        "19-198-0001",
        "26-495-26-495-0000",
        "27-123-0000",
        "27-123-0001",
    ]
    assert set(dataset[0]) == {"id", "mixture_sig", "source_sigs"}
    assert dataset.data["19-198-0001"]["length"] == 900 / RATE


def test_whole_mixtures_end_with_their_shortest_utterance(speech):
    counter = SimpleNamespace(current=0)
    dataset = speaker_mixture_dataset(speech, epoch_counter=counter)
    first, found = list(LENGTHS.values()), set()
    for counter.current in range(20):
        for item, own in zip(dataset, first, strict=True):
            length = len(item["mixture_sig"])
            assert length <= own and length in first
            found.add((own, length))
    # A first talker of 4000 samples meets all of the shorter ones of other speakers.
    assert {(4000, 3000), (4000, 2500), (4000, 4000)} <= found
    assert (4000, 900) not in found


def test_short_utterances_are_repeated_to_fill_a_segment(speech):
    source = speaker_mixture_dataset(speech, 2, LENGTH)[1]["source_sigs"][0]
    torch.testing.assert_close(source[900:], source[: LENGTH - 900])


@pytest.mark.parametrize("num_speakers", [2, 3])
def test_levels_are_in_their_range_and_independent(speech, num_speakers):
    counter = SimpleNamespace(current=0)
    dataset = speaker_mixture_dataset(
        speech, num_speakers, LENGTH, epoch_counter=counter
    )
    levels = []
    for counter.current in range(60):
        levels += [levels_db(item) for item in dataset]
    levels = np.array(levels)
    assert -33.01 < levels.min() < -32.5 and -25.5 < levels.max() < -24.99
    # Uniform over 8 dB: standard deviation 2.31 dB. 300 mixtures.
    np.testing.assert_allclose(levels.std(axis=0), 8 / 12**0.5, rtol=0.1)
    correlations = np.corrcoef(levels.T)[np.triu_indices(num_speakers, 1)]
    assert np.abs(correlations).max() < 0.2


@pytest.mark.parametrize("sir_db", [-6.0, 0.0, 3.5])
def test_ratio_of_talkers_is_exact_where_it_is_given(speech, sir_db):
    for item in speaker_mixture_dataset(speech, 3, LENGTH, sir_db=[sir_db]):
        first, *others = levels_db(item)
        assert [first - other for other in others] == pytest.approx(
            [sir_db] * 2, abs=0.01
        )


def test_loud_talkers_stay_below_full_scale_at_their_ratio(speech):
    for item in speaker_mixture_dataset(speech, level_dbfs=[-3.0], sir_db=[1.0]):
        assert item["mixture_sig"].abs().max() <= 0.9 + 1e-6
        first, other = levels_db(item)
        assert first - other == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_mixtures_depend_on_the_epoch_not_on_workers_or_order(speech, num_workers):
    counter = SimpleNamespace(current=1)
    dataset = speaker_mixture_dataset(speech, 2, LENGTH, seed=5, epoch_counter=counter)
    loader = make_dataloader(
        dataset, batch_size=2, num_workers=num_workers, collate_fn=separation_batch
    )
    seen = []
    for counter.current in (1, 2, 1):
        seen.append(torch.cat([batch.source_sigs.data for batch in loader]))
        backwards = [dataset[i]["source_sigs"] for i in (4, 3, 2, 1, 0)]
        expected = torch.stack(backwards[::-1])
        torch.testing.assert_close(seen[-1], expected, rtol=0, atol=0)
    assert torch.equal(seen[0], seen[2])
    assert (seen[0] != seen[1]).any(dim=2).all()


def test_seed_changes_the_mixtures_and_no_counter_freezes_them(speech):
    dataset = speaker_mixture_dataset(speech, 2, LENGTH, seed=1)
    other = speaker_mixture_dataset(speech, 2, LENGTH, seed=2)
    assert torch.equal(mixtures(dataset), mixtures(dataset))
    assert not torch.equal(mixtures(dataset), mixtures(other))


def test_other_speakers_are_equally_likely_whatever_they_say():
    rows = [("a0", "anna"), ("b0", "ben"), ("b1", "ben"), ("b2", "ben"), ("c0", "cleo")]
    speech = [Utterance(name, f"{name}.wav", speaker, 100) for name, speaker in rows]
    mix = MixSpeakers(speech, 2, LENGTH, RATE)
    rng = np.random.default_rng(0)
    partners = [mix.draw_talkers(speech[0], rng)[1] for _ in range(2000)]
    names = [partner.speaker for partner in partners]
    # Standard deviation 22.
    assert names.count("ben") == pytest.approx(1000, abs=100)
    assert {partner.name for partner in partners} == {"b0", "b1", "b2", "c0"}


def test_items_of_one_file_differ_and_the_first_stays(speech):
    once = speaker_mixture_dataset(speech, 2, LENGTH)
    thrice = speaker_mixture_dataset(speech, 2, LENGTH, items_per_file=3)
    ids = [item["id"] for item in thrice]
    assert ids[:3] == ["19-198-0000", "19-198-0000+1", "19-198-0000+2"]
    assert torch.equal(mixtures(thrice)[::3], mixtures(once))
    assert len({tuple(mixture.tolist()) for mixture in mixtures(thrice)}) == 15


@pytest.mark.parametrize("num_items", [1, 3, 5])
def test_some_items_are_spread_over_all_and_unchanged(speech, num_items):
    everything = {i["id"]: i["mixture_sig"] for i in speaker_mixture_dataset(speech)}
    some = list(speaker_mixture_dataset(speech, num_items=num_items))
    places = [list(everything).index(item["id"]) for item in some]
    assert len(some) == num_items and places == sorted(set(places))
    assert all(
        b - a in (5 // num_items, 5 // num_items + 1) for a, b in pairwise(places)
    )
    for item in some:
        assert torch.equal(item["mixture_sig"], everything[item["id"]])


def test_several_folders_mix_with_each_other(speech, audio_file):
    other = audio_file("other/88-1-0000.wav", 3000, seed=9).parent
    dataset = speaker_mixture_dataset([other, speech], 2, LENGTH)
    assert dataset[0]["id"] == "88-1-0000" and len(dataset) == 6
    both = origins(dataset[0]["source_sigs"][0], other)
    assert both == {"88"} and origins(dataset[0]["source_sigs"][1], speech)


def test_speakers_can_be_chosen_and_held_out(speech):
    held = speaker_mixture_dataset(speech, speakers=["19", "26"])
    rest = speaker_mixture_dataset(speech, exclude_speakers=["26"])
    assert {item["id"][:2] for item in held} == {"19", "26"}
    assert {item["id"][:2] for item in rest} == {"19", "27"}
    for item in held:
        assert not origins(item["source_sigs"][1], speech) & {"27"}
    with pytest.raises(
        ValueError, match=r"speakers and exclude_speakers \(99\) must be"
    ):
        speaker_mixture_dataset(speech, speakers=["19", "99"])


def test_files_of_another_rate_are_resampled(speech):
    dataset = speaker_mixture_dataset(speech, sample_rate=8_000, speakers=["26", "27"])
    assert len(dataset[0]["mixture_sig"]) in (1500, 1250)


def test_silent_talkers_are_passed_over(speech):
    soundfile.write(speech / "30-1-0000.wav", np.zeros(4000), RATE)
    half = np.concatenate([np.zeros(9000), np.full(3000, 0.1)])
    soundfile.write(speech / "31-1-0000.wav", half, RATE)
    counter = SimpleNamespace(current=0)
    dataset = speaker_mixture_dataset(
        speech, 2, LENGTH, epoch_counter=counter, seed=3, speakers=["26", "30", "31"]
    )
    silent = 0
    for counter.current in range(30):
        silent += not dataset[0]["source_sigs"].any(dim=1).all()
        # A first talker without any sound has nothing else to say; nothing breaks.
        assert torch.isfinite(dataset[1]["mixture_sig"]).all()
    # Without further draws 86 % would have a silent source: 26 of 30. Of 8 draws all
    # are bad in 0.86 ** 8 = 29 %: 9 of 30.
    assert silent < 16


def test_dataset_can_be_sent_to_a_spawned_worker(speech):
    dataset = speaker_mixture_dataset(
        speech, 2, LENGTH, epoch_counter=SimpleNamespace(current=3)
    )
    copy = pickle.loads(pickle.dumps(dataset))
    torch.testing.assert_close(mixtures(copy), mixtures(dataset))


def test_too_few_speakers_are_refused_with_the_rule_that_finds_them(
    tmp_path, audio_file
):
    for name in ("anna/rec_1.wav", "ben/rec_2.wav"):
        audio_file(f"takes/{name}", 1000)
    with pytest.raises(
        ValueError, match=r"num_speakers \(2\).*\(1: rec\).*first _ or -"
    ):
        speaker_mixture_dataset(tmp_path / "takes")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_speakers": 1}, r"num_speakers \(1\) must be at least 2"),
        ({"num_speakers": 4}, r"num_speakers \(4\) must be at most.*\(3: 19, 26, 27\)"),
        ({"segment_length": 0}, r"segment_length \(0\) must be at least 1"),
        ({"items_per_file": 0}, r"items_per_file \(0\) must be at least 1"),
        ({"num_items": 0}, r"num_items \(0\) must be at least 1"),
        ({"num_items": 6}, r"num_items \(6\) must be at most 5"),
        ({"level_dbfs": []}, r"level_dbfs \(\[\]\) must be"),
        ({"sir_db": [5, 0]}, r"sir_db \(\[5, 0\]\) must be \[min, max\]"),
    ],
)
def test_wrong_arguments_are_refused(speech, options, message):
    with pytest.raises(ValueError, match=message):
        speaker_mixture_dataset(speech, **options)


def test_ids_that_collide_are_refused(speech, audio_file):
    other = audio_file("other/19-198-0000.wav", 1000).parent
    with pytest.raises(ValueError, match="must not have the same id '19-198-0000'"):
        speaker_mixture_dataset([speech, other])


def test_hundred_fixed_mixtures_of_real_speakers(shared_audio):
    """The evaluation set of the README: no script, the same on every machine."""
    folders = [shared_audio / "speech" / name for name in ("valid", "babble")]
    dataset = speaker_mixture_dataset(folders, num_items=100)
    start = time.perf_counter()
    items = list(dataset)
    # About 4 ms on an idle core; the rest is for a busy machine.
    assert (time.perf_counter() - start) / 100 < 0.1
    assert len(items) == 100 and len({item["id"].split("-")[0] for item in items}) > 20
    ratios = []
    for item in items:
        assert item["source_sigs"].shape == (2, len(item["mixture_sig"]))
        assert len(item["mixture_sig"]) > 2 * RATE
        first, other = levels_db(item)
        ratios.append(first - other)
    assert abs(np.mean(ratios)) < 1 and np.abs(ratios).max() < 8.01
