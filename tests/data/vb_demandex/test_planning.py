import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sesame.data.vb_demandex.planning import (
    SNRS_DB,
    Ingredients,
    find_ingredients,
    plan_mixtures,
)
from sesame.data.vb_demandex.sources import NoiseTrack, Utterance

PLAIN = {"splits": ["test"], "test_speakers": []}


def plain_plan(plain, **options):
    folders = plain / "speech", plain / "noise", options.pop("babble", None)
    return plan_mixtures(*folders, **(PLAIN | options))


def stems(mixture):
    return [Path(path).stem for path in mixture.noise_files]


def test_all_splits_of_the_corpora(voicebank, demand):
    plan = plan_mixtures(voicebank, demand)
    assert Counter(mixture.split for mixture in plan) == dict.fromkeys(
        ("train", "valid", "test"), 3
    )
    channels = {"train": {1, 12}, "valid": {13}, "test": {15, 16}}
    speakers = {
        "train": {"p225", "p226"},
        "valid": {"p282", "p287"},
        "test": {"p232", "p257"},
    }
    for seed in range(10):
        for mixture in plan_mixtures(voicebank, demand, seed=seed):
            own = mixture.item_id.split("_")[0]
            assert own in speakers[mixture.split]
            if mixture.noise_type in ("babble", "ssn"):
                talkers = {stem.split("_")[0] for stem in stems(mixture)}
                assert talkers == speakers[mixture.split] - {own}
                assert len(mixture.noise_files) == 6
            else:
                assert {int(stem[2:]) for stem in stems(mixture)} < channels[
                    mixture.split
                ] or len(channels[mixture.split]) == 1


def test_a_split_is_the_same_alone_and_with_others(voicebank, demand):
    whole = plan_mixtures(voicebank, demand, seed=7)
    alone = plan_mixtures(voicebank, demand, splits=["test"], seed=7)
    assert alone == [mixture for mixture in whole if mixture.split == "test"]


def test_the_plan_depends_on_its_arguments_only(plain):
    assert plain_plan(plain) == plain_plan(plain)
    assert plain_plan(plain) != plain_plan(plain, seed=1)


def test_kinds_are_dealt_evenly(plain):
    plan = plain_plan(plain, items_per_file=8)
    kinds = Counter((mixture.noise_type, mixture.snr_db) for mixture in plan)
    assert set(kinds.values()) == {2, 3} and len(kinds) == 3 * len(SNRS_DB)
    assert {mixture.snr_db for mixture in plan} == {-10, -5, 0, 5, 10, 15, 20}
    levels = {mixture.level_dbfs for mixture in plan}
    assert levels <= set(range(-35, -14)) and len(levels) > 10


def test_ids_say_which_copy_it_is(plain):
    plan = plain_plan(plain, items_per_file=2)
    ids = [mixture.item_id for mixture in plan]
    assert ids[:4] == ["10-1-1", "10-1-1+1", "10-1-2", "10-1-2+1"]
    assert len(set(ids)) == len(ids) == 12


def test_long_speech_is_cut_and_short_speech_is_whole(plain):
    # 6000 samples are 0.375 s.
    for mixture in plain_plan(plain, max_seconds=0.25, items_per_file=3):
        assert mixture.num_samples == 4000 and 0 <= mixture.clean_start <= 2000
    starts = {m.clean_start for m in plain_plan(plain, max_seconds=0.25)}
    assert len(starts) > 3
    for mixture in plain_plan(plain, max_seconds=1):
        assert (mixture.clean_start, mixture.num_samples) == (0, 6000)


def test_babble_can_come_from_other_speech(plain, voicebank):
    plan = plain_plan(plain, babble=voicebank, noise_types=["babble", "ssn"])
    for mixture in plan:
        speakers = {stem.split("_")[0] for stem in stems(mixture)}
        assert len(speakers) == 6 and all(name.startswith("p") for name in speakers)


def test_noise_types_can_be_chosen(plain):
    types = {m.noise_type for m in plain_plan(plain, noise_types=["ssn"])}
    assert types == {"ssn"}
    types = {m.noise_type for m in plain_plan(plain)}
    assert types == {"environment", "babble", "ssn"}


def test_splits_must_not_share_noise_babble_or_speech(plain, voicebank, demand):
    with pytest.raises(ValueError, match="noise must be DEMAND, or a folder with sub"):
        plan_mixtures(voicebank, plain / "noise", splits=["train", "test"])
    with pytest.raises(ValueError, match="speech must be a folder with subfolders"):
        plan_mixtures(voicebank, demand, plain / "speech")
    with pytest.raises(ValueError, match="speech must be one with speakers for each"):
        plan_mixtures(
            plain / "speech", demand, splits=["train", "test"], test_speakers=[]
        )
    for split in ("train", "test"):
        shutil.copytree(plain / "noise" / "deep", plain / "noise" / split)
    plan = plan_mixtures(voicebank, plain / "noise", splits=["test", "train"])
    assert [mixture.split for mixture in plan] == ["train"] * 3 + ["test"] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": []}, r"splits \(\[\]\) must be among train, valid, test"),
        ({"splits": ["dev"]}, r"splits \(\['dev'\]\) must be"),
        ({"snr_db": []}, "snr_db must hold"),
        ({"items_per_file": 0}, r"items_per_file \(0\) must be at least 1"),
        ({"max_seconds": 0}, r"max_seconds \(0\) must be positive"),
        ({"max_seconds": float("nan")}, r"max_seconds \(nan\) must be positive"),
        ({"noise_types": ["office"]}, r"must be among environment, babble, ssn"),
        ({"noise_types": []}, r"noise_types \(\[\]\) must be among"),
    ],
)
def test_wrong_arguments_are_refused(plain, options, message):
    with pytest.raises(ValueError, match=message):
        plain_plan(plain, **options)


def test_missing_folders_are_named(plain):
    with pytest.raises(ValueError, match="absent does not exist"):
        plan_mixtures(plain / "absent", plain / "noise", splits=["train"])
    with pytest.raises(ValueError, match="absent does not exist"):
        plan_mixtures(plain / "speech", plain / "absent", splits=["train"])
    with pytest.raises(ValueError, match=r"split \('dev'\) must be one of"):
        find_ingredients(plain / "speech", plain / "noise", None, "dev")


def test_tracks_of_a_category_are_all_drawn():
    tracks = [NoiseTrack("office", (f"{i}.wav",)) for i in range(5)]
    speech = [Utterance("a_1", "a_1.wav", "a", 10)]
    found = Ingredients(speech, tracks, speech)
    rng = np.random.default_rng(0)
    drawn = {found.noise_files("office", "a", rng) for _ in range(60)}
    assert drawn == {track.files for track in tracks}


def test_ids_that_collide_are_refused():
    speech = [Utterance(name, f"{name}.wav", "a", 10) for name in ("a_1", "a_1+1")]
    found = Ingredients(speech, [], speech)
    assert len(found.items(1)) == 2
    with pytest.raises(ValueError, match=r"must not have the same id 'a_1\+1'"):
        found.items(2)
