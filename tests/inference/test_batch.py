import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.inference import audio_files
from sesame.inference.audio_search import UsageError
from sesame.inference.batch import (
    Job,
    Outcome,
    plan_jobs,
    run_jobs,
    summarize,
    write_failures,
)
from sesame.inference.file_enhancement import FileReport


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Makes files below a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("noisy")
        return tmp_path

    return make


class Copier:
    """Copies files as an enhancer would enhance them, and says so."""

    def __init__(self):
        self.sources = []

    def __call__(self, source, target):
        self.sources.append(str(source))
        with audio_files.new_file(target) as temporary:
            shutil.copy(source, temporary)
        return FileReport(source, target, 2.0, 16000, 1, 3, 0, ("warned",))


def targets(plan):
    return [job.target.as_posix() for job in plan.jobs]


def test_one_file_without_a_target_gets_a_neighbour(tree):
    tree("calls/a.b.flac")
    plan = plan_jobs(["calls/a.b.flac"])
    assert plan.folder is None
    assert targets(plan) == ["calls/a.b_enhanced.flac"]


@pytest.mark.parametrize(
    ("output", "target"),
    [
        ("out.wav", "out.wav"),
        ("new/out.FLAC", "new/out.FLAC"),
        ("out", "out/a.wav"),
        ("new.d/", "new.d/a.wav"),
        ("there.d", "there.d/a.wav"),
        # A mistyped suffix: refused when the file is written.
        ("out.wv", "out.wv"),
    ],
)
def test_one_file_goes_into_a_file_or_a_folder(tree, output, target):
    tree("a.wav", "there.d/b.wav")
    assert targets(plan_jobs(["a.wav"], output)) == [target]


def test_many_inputs_keep_their_names_suffixes_and_trees(tree):
    tree("in/a.wav", "in/b/a.flac", "one.ogg", "globbed/c/x.wav", "list/d/y.wav")
    (Path("list") / "names.txt").write_text("d/y.wav\n")
    inputs = ["in", "one.ogg", "globbed/**/*.wav", "@list/names.txt"]
    plan = plan_jobs(inputs, "out")
    below = [os.path.relpath(target, "out") for target in targets(plan)]
    assert sorted(below) == ["a.wav", "b/a.flac", "c/x.wav", "d/y.wav", "one.ogg"]
    assert plan == plan_jobs(inputs[:3], "out", lists=["list/names.txt"])


def test_the_order_does_not_depend_on_that_of_the_arguments(tree):
    tree("in/b.wav", "in/a.wav", "c.wav")
    assert plan_jobs(["c.wav", "in"], "out") == plan_jobs(["in", "c.wav"], "out")


def test_unusual_names_are_names(tree):
    names = ["d\u00e9j\u00e0 vu.wav", " a  b.wav", "-x.wav", os.fsdecode(b"\xff.wav")]
    tree(*(f"in/{name}" for name in names))
    plan = plan_jobs(["in"], "out")
    assert {job.target.name for job in plan.jobs} == set(names)
    outcomes = list(run_jobs(Copier(), plan.jobs))
    assert [outcome.status for outcome in outcomes] == ["enhanced"] * 4


def test_one_name_in_two_folders_is_refused_with_both_paths(tree):
    tree("a/x.wav", "b/x.wav")
    with pytest.raises(ValueError, match=r"a/x\.wav and b/x\.wav would both"):
        plan_jobs(["a/x.wav", "b/x.wav"], "out")
    assert len(plan_jobs(["a", "b/../a"], "out").jobs) == 1


def test_a_file_that_is_named_twice_is_enhanced_once(tree):
    tree("in/x.wav")
    assert targets(plan_jobs(["in", "in/x.wav", "in/*.wav"], "out")) == ["out/x.wav"]


@pytest.mark.parametrize("line", ["../x.wav", "b/../../x.wav", "b/../../*.wav"])
def test_results_stay_in_their_folder_whatever_a_list_says(tree, line):
    root = tree("x.wav", "lists/b/y.wav")
    (root / "lists/names.txt").write_text(line)
    with pytest.raises(ValueError, match="would leave out"):
        plan_jobs(["@lists/names.txt"], "out")


@pytest.mark.parametrize("link", ["out/b", "out/b/y.wav", "out"])
def test_results_do_not_leave_their_folder_by_a_link(tree, link):
    root = tree("in/b/y.wav", "elsewhere/secret.wav")
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    os.symlink(root / "elsewhere", root / link)
    if link == "out":
        # A folder of results may itself be a link.
        assert len(plan_jobs(["in"], "out").jobs) == 1
    else:
        with pytest.raises(ValueError, match="would leave out"):
            plan_jobs(["in"], "out")


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        (["in"], "in"),
        (["in/*.wav"], "in"),
        (["in", "in/a.wav"], "in"),
        (["a.wav"], "."),
        (["a.wav"], "a.wav"),
        (["a.wav"], "in/../a.wav"),
        (["link.wav"], "a.wav"),
        (["in/a.wav", "a.wav"], "other"),
    ],
)
def test_no_result_replaces_an_input(tree, inputs, output):
    root = tree("in/a.wav", "a.wav")
    os.symlink("a.wav", root / "link.wav")
    with pytest.raises(ValueError, match=r"would be replaced|would both become"):
        plan_jobs(inputs, output)


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        ([], "out"),
        (["empty"], "out"),
        (["in/*.flac"], "out"),
        ([""], "out"),
        (["in"], None),
        (["in/a.wav", "in/b.wav"], None),
        (["in"], "out.wav"),
        (["in"], "in/a.wav"),
    ],
)
def test_arguments_that_name_no_work_are_wrong_arguments(tree, inputs, output):
    tree("in/a.wav", "in/b.wav", "empty/notes.txt")
    with pytest.raises(UsageError):
        plan_jobs(inputs, output)


def test_a_link_to_itself_fails_alone(tree):
    root = tree("in/a.wav")
    os.symlink("loop.wav", root / "in/loop.wav")
    outcomes = list(run_jobs(Copier(), plan_jobs(["in"], "out").jobs))
    assert [outcome.status for outcome in outcomes] == ["enhanced", "failed"]


def test_what_is_finished_is_skipped_until_it_is_forced(tree):
    tree("in/a.wav", "in/b.wav")
    jobs = plan_jobs(["in"], "out").jobs
    copier = Copier()
    assert [o.status for o in run_jobs(copier, jobs[:1])] == ["enhanced"]
    assert [o.status for o in run_jobs(copier, jobs)] == ["skipped", "enhanced"]
    assert copier.sources == ["in/a.wav", "in/b.wav"]
    assert [o.status for o in run_jobs(copier, jobs, overwrite=True)] == 2 * [
        "enhanced"
    ]


def test_results_and_leftovers_inside_the_inputs_do_not_become_inputs(tree):
    root = tree("in/a.wav", "in/b/c.wav", "in/.a.abcd1234.wav")
    first = plan_jobs(["in"], "in/out")
    assert len(first.jobs) == 2
    list(run_jobs(Copier(), first.jobs))
    (root / "in/out/.c.abcd1234.wav").touch()
    assert plan_jobs(["in"], "in/out") == first


@pytest.mark.parametrize(
    "error",
    [ValueError("bad"), OSError(28, "full"), RuntimeError("device"), MemoryError()],
)
def test_a_failure_does_not_stop_the_others(tree, error):
    tree("in/a.wav", "in/b.wav", "in/c.wav")
    copier = Copier()

    def enhance(source, target):
        if source.name == "b.wav":
            raise error
        return copier(source, target)

    outcomes = list(run_jobs(enhance, plan_jobs(["in"], "out").jobs))
    assert [o.status for o in outcomes] == ["enhanced", "failed", "enhanced"]
    assert outcomes[1].error.startswith("in/b.wav: ")
    assert "\n" not in outcomes[1].error


def test_a_format_that_has_to_be_converted_fails_with_the_command(tree):
    tree("in/a.m4a")
    (outcome,) = run_jobs(Copier(), [Job(Path("in/b.m4a"), Path("out/b.m4a"))])
    assert outcome.error.endswith("ffmpeg -i in/b.m4a b.wav")


def test_ctrl_c_ends_the_run_and_the_next_one_goes_on(tree):
    tree("in/a.wav", "in/b.wav", "in/c.wav")
    jobs = plan_jobs(["in"], "out").jobs
    copier = Copier()

    def interrupted(source, target):
        with audio_files.new_file(target) as temporary:
            temporary.write_text("half")
            if source.name == "b.wav":
                raise KeyboardInterrupt
        return copier(source, target)

    outcomes = []
    with pytest.raises(KeyboardInterrupt):
        outcomes.extend(run_jobs(interrupted, jobs))
    assert sorted(os.listdir("out")) == ["a.wav"]
    statuses = [outcome.status for outcome in run_jobs(copier, jobs)]
    assert statuses == ["skipped", "enhanced", "enhanced"]


def test_a_full_disk_leaves_no_part_of_a_file(enhancer, tmp_path, monkeypatch):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 2000)
    soundfile.write(tmp_path / "a.wav", noise, 16000)
    job = Job(tmp_path / "a.wav", tmp_path / "out/a.wav")

    def full(file, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(soundfile.SoundFile, "write", full)
        (outcome,) = run_jobs(enhancer.enhance_file, [job])
    assert outcome.status == "failed" and "No space left" in outcome.error
    assert list((tmp_path / "out").iterdir()) == []
    (outcome,) = run_jobs(enhancer.enhance_file, [job])
    assert outcome.status == "enhanced"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_fails_its_files(tree):
    root = tree("in/a.wav")
    (root / "out").mkdir(mode=0o500)
    (outcome,) = run_jobs(Copier(), plan_jobs(["in"], "out").jobs)
    assert outcome.status == "failed" and "Permission denied" in outcome.error


def test_totals_are_sums_and_can_be_written_as_json():
    a, b = Path("a.wav"), Path("b.wav")
    outcomes = [
        Outcome(a, b, "enhanced", "", 3.0, 1.0, 5, 1, ("x", "y")),
        Outcome(a, b, "enhanced", "", 1.0, 1.0),
        Outcome(a, b, "enhanced", "", 0.0, 0.1),
        Outcome(a, b, "skipped"),
        Outcome(a, b, "failed", "a.wav: bad"),
    ]
    totals = json.loads(json.dumps(summarize(outcomes)))
    assert [file["rtf"] for file in totals["files"]] == [1 / 3, 1.0, None, None, None]
    assert totals["files"][4]["error"] == "a.wav: bad"
    del totals["files"]
    assert totals == {
        "num_enhanced": 3,
        "num_skipped": 1,
        "num_failed": 1,
        "audio_seconds": 4.0,
        "wall_seconds": 2.1,
        "rtf": 0.525,
        "num_clipped": 5,
        "num_repaired": 1,
        "num_warnings": 2,
    }


def failure(name):
    return Outcome(Path(name), Path("x"), "failed", f"{name}: bad")


def test_a_list_of_failures_is_replaced_and_goes_when_all_is_well(tmp_path):
    path = write_failures(tmp_path / "new", [failure("a"), failure("b")])
    assert path.read_text() == "a: bad\nb: bad\n"
    write_failures(tmp_path / "new", [failure("b")])
    assert path.read_text() == "b: bad\n"
    assert write_failures(tmp_path / "new", []) is None
    assert not path.exists()


def test_a_list_of_failures_takes_any_file_name(tmp_path):
    name = os.fsdecode(b"\xff.wav")
    path = write_failures(tmp_path, [failure(name)])
    assert path.read_bytes() == b"\xff.wav: bad\n"


def test_each_process_has_its_list_and_later_runs_leave_no_old_ones(tmp_path):
    (tmp_path / "failed_takes.txt").write_text("not ours")
    for rank in range(3):
        write_failures(tmp_path, [failure("a")], rank, 3)
    names = [f"failed.{rank}.txt" for rank in range(3)]
    assert sorted(p.name for p in tmp_path.glob("failed.*")) == names
    write_failures(tmp_path, [failure("a")], 1, 2)
    assert sorted(p.name for p in tmp_path.glob("failed.*")) == names[:2]
    write_failures(tmp_path, [failure("a")])
    assert [p.name for p in tmp_path.glob("failed.*")] == ["failed.txt"]
    assert (tmp_path / "failed_takes.txt").exists()
