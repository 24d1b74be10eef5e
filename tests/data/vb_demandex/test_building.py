import csv
import hashlib
import json
import multiprocessing
import signal
import time

import numpy as np
import pytest
import soundfile

from sesame.data.pipelines import paired_dataset
from sesame.data.vb_demandex import building
from sesame.data.vb_demandex.building import (
    build,
    pair_paths,
    read_settings,
    require_set,
)
from sesame.data.vb_demandex.planning import plan_mixtures

RATE = 16_000


@pytest.fixture
def roots(plain):
    return {"clean": plain / "speech", "noise": plain / "noise"}


@pytest.fixture
def plan(plain):
    return make_plan(plain)


def make_plan(plain, **options):
    options = {"splits": ["test"], "test_speakers": []} | options
    return plan_mixtures(plain / "speech", plain / "noise", **options)


def digest(folder):
    """What every file holds, build.json with its machine's paths aside."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).digest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "build.json"
    }


def table(folder):
    with (folder / "mixtures.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_set_is_files_manifests_and_a_table(tmp_path, plan, roots):
    out = tmp_path / "out"
    assert build(out, plan, roots) == {"kept": 0, "written": 6}
    names = sorted(
        f"test/{k}/{m.item_id}.wav" for m in plan for k in ("clean", "noisy")
    )
    assert sorted(digest(out)) == sorted([*names, "mixtures.csv", "test.json"])
    for mixture, row in zip(plan, table(out), strict=True):
        for path in pair_paths(out, "test", mixture.item_id):
            info = soundfile.info(path)
            assert (info.subtype, info.samplerate, info.channels) == ("PCM_16", RATE, 1)
            assert info.frames == mixture.num_samples == int(row["num_samples"])
        assert row["id"] == mixture.item_id and row["clean_file"].startswith("{clean}/")
        assert float(row["snr_measured_db"]) == pytest.approx(mixture.snr_db, abs=0.05)
    roots_read = read_settings(out)["test"]["roots"]
    assert roots_read == {name: str(path) for name, path in roots.items()}


def test_manifests_feed_the_data_set_also_after_a_move(tmp_path, plan, roots):
    build(tmp_path / "out", plan, roots)
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    dataset = paired_dataset(moved / "test.json", moved)
    assert [item["id"] for item in dataset] == [mixture.item_id for mixture in plan]
    for item in dataset:
        assert item["noisy_sig"].shape == item["clean_sig"].shape == (6000,)
        assert not np.array_equal(item["noisy_sig"], item["clean_sig"])


def test_processes_write_the_same_bytes(tmp_path, plan, roots):
    build(tmp_path / "one", plan, roots)
    build(tmp_path / "two", plan, roots, num_workers=2)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_what_is_there_is_kept_and_the_rest_is_made_again(tmp_path, plan, roots):
    out = tmp_path / "out"
    build(out, plan, roots)
    expected = digest(out)
    kept, deleted, cut, empty = (
        pair_paths(out, "test", plan[i].item_id) for i in range(4)
    )
    before = [path.stat().st_mtime_ns for path in kept]
    deleted[0].unlink()
    cut[1].write_bytes(cut[1].read_bytes()[:5000])
    empty[0].write_bytes(b"")
    assert build(out, plan, roots) == {"kept": 3, "written": 3}
    assert digest(out) == expected
    assert [path.stat().st_mtime_ns for path in kept] == before


def test_an_interrupted_build_goes_on(tmp_path, plan, roots, monkeypatch):
    build(tmp_path / "whole", plan, roots)
    out = tmp_path / "out"
    make = building.mix

    def interrupted(mixture, sample_rate):
        if mixture == plan[4]:
            raise KeyboardInterrupt
        return make(mixture, sample_rate)

    monkeypatch.setattr(building, "mix", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(out, plan, roots)
    # Nobody takes what is there for a complete set.
    assert not (out / "mixtures.csv").exists() and not (out / "test.json").exists()
    monkeypatch.undo()
    assert build(out, plan, roots) == {"kept": 4, "written": 2}
    assert digest(out) == digest(tmp_path / "whole")


def _build_for_ever(*arguments):
    while True:
        building._known_records = lambda folder: {}
        build(*arguments)


def test_a_killed_build_leaves_no_half_file(tmp_path, plan, roots):
    out = tmp_path / "out"
    build(tmp_path / "whole", plan, roots)
    for delay in (0.0, 0.013, 0.029):
        process = multiprocessing.get_context("fork").Process(
            target=_build_for_ever, args=(out, plan, roots)
        )
        process.start()
        while process.is_alive() and not list(out.glob("test/noisy/*.wav")):
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        for path in out.glob("test/*/[!.]*.wav"):
            assert soundfile.info(path).frames == 6000
    build(out, plan, roots)
    left = {name: value for name, value in digest(out).items() if "/." not in name}
    assert left == digest(tmp_path / "whole")


def test_another_plan_replaces_the_old_files(tmp_path, plain, roots):
    out = tmp_path / "out"
    build(out, make_plan(plain), roots)
    other = make_plan(plain, seed=1)
    assert build(out, other, roots)["written"] == 6
    build(tmp_path / "new", other, roots)
    assert digest(out) == digest(tmp_path / "new")


def test_a_failed_change_of_plan_does_not_vouch_for_old_files(
    tmp_path, plain, roots, monkeypatch
):
    """Old rows and new files of equal length must never be taken for each other."""
    out = tmp_path / "out"
    old, new = make_plan(plain), make_plan(plain, seed=1)
    build(out, old, roots)
    expected = digest(out)
    make = building.mix

    def failing(mixture, sample_rate):
        if mixture == new[3]:
            raise ValueError("broken")
        return make(mixture, sample_rate)

    monkeypatch.setattr(building, "mix", failing)
    with pytest.raises(ValueError, match="broken"):
        build(out, new, roots)
    monkeypatch.undo()
    assert build(out, old, roots)["written"] == 6
    assert digest(out) == expected


def test_splits_can_be_built_one_after_the_other(tmp_path, plain, roots):
    out = tmp_path / "out"
    speakers = {"valid_speakers": ["10"], "test_speakers": ["50"]}
    train = make_plan(plain, splits=["train"], **speakers)
    test = make_plan(plain, noise_types=["environment"], **speakers)
    build(out, train, roots)
    first = digest(out)
    build(out, test, roots)
    assert [row["split"] for row in table(out)] == ["train"] * 3 + ["test"]
    now = digest(out)
    same = [name for name in first if name != "mixtures.csv"]
    assert {name: now[name] for name in same} == {name: first[name] for name in same}
    assert set(read_settings(out)) == {"train", "test"}


def test_moved_sources_are_no_reason_to_build_again(tmp_path, plain, roots):
    build(tmp_path / "out", make_plan(plain), roots)
    moved = plain.rename(tmp_path / "elsewhere")
    roots = {"clean": moved / "speech", "noise": moved / "noise"}
    assert build(tmp_path / "out", make_plan(moved), roots)["kept"] == 6


def test_audio_that_is_not_planned_is_not_mixed_in(tmp_path, plain, roots):
    out = tmp_path / "out"
    build(out, make_plan(plain, items_per_file=2), roots)
    before = digest(out)
    with pytest.raises(ValueError, match=r"\+1\.wav is not in the plan \(12 such"):
        build(out, make_plan(plain), roots)
    assert digest(out) == before


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_bad_source_is_one_error_and_nothing_is_lost(
    tmp_path, plain, roots, num_workers
):
    soundfile.write(plain / "speech" / "60-1-1.flac", np.zeros(6000), RATE)
    plan = make_plan(plain, noise_types=["environment"])
    with pytest.raises(ValueError, match=r"60-1-1\.flac and environment"):
        build(tmp_path / "out", plan, roots, num_workers)
    good = make_plan(plain, noise_types=["environment"])[:-1]
    (tmp_path / "out" / "test" / "noisy" / "60-1-1.wav").unlink(missing_ok=True)
    assert build(tmp_path / "out", good, roots)["kept"] == 6


def test_wrong_arguments_are_refused(tmp_path, plan):
    with pytest.raises(ValueError, match="at least one mixture"):
        build(tmp_path, [])
    with pytest.raises(ValueError, match=r"num_workers \(-1\) must be at least 0"):
        build(tmp_path, plan, num_workers=-1)
    with pytest.raises(ValueError, match=r"cannot read .*build\.json"):
        read_settings(tmp_path)


def test_names_with_braces_are_read_back(tmp_path, plain, roots):
    source = plain / "speech" / "10-1-1.flac"
    source.rename(source.with_name("10-{x}.flac"))
    build(tmp_path / "out", make_plan(plain), roots)
    dataset = paired_dataset(tmp_path / "out" / "test.json", tmp_path / "out")
    assert "10-{x}" in [item["id"] for item in dataset]
    lengths = json.loads((tmp_path / "out" / "test.json").read_text())
    assert lengths["10-{x}"]["length"] == 6000 / RATE


def test_a_training_learns_which_split_is_missing_and_how_to_build_it(
    tmp_path, plan, roots
):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"no split 'test'.*sesame\.data\.vb_demandex"):
        require_set(out, ["test"])
    build(out, plan, roots)
    require_set(out, ["test"])
    with pytest.raises(ValueError, match="no split 'train'"):
        require_set(out)
    with pytest.raises(ValueError, match=r"16000 Hz, expected sample_rate \(8000\)"):
        require_set(out, ["test"], sample_rate=8000)
    (out / "test.json").unlink()
    with pytest.raises(ValueError, match="no split 'test'"):
        require_set(out, ["test"])
