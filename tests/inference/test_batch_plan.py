from pathlib import Path

import pytest

from sesame.inference.audio_search import UsageError
from sesame.inference.batch_plan import plan_jobs


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Makes files below a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.b.wav", "in/c/a.flac", "one.ogg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def targets(*arguments):
    plan = plan_jobs(*arguments, label="_x")
    return [job.target.as_posix() for job in plan.jobs]


def test_a_label_ends_every_name(tree):
    expected = ["out/a.b_x.wav", "out/c/a_x.flac", "out/one_x.ogg"]
    assert targets(["in", "one.ogg"], "out") == expected


@pytest.mark.parametrize(
    ("output", "target"),
    [
        (None, "in/a.b_x.wav"),
        ("out", "out/a.b_x.wav"),
        (".", "a.b_x.wav"),
        ("in", "in/a.b_x.wav"),
        ("out.d/", "out.d/a.b_x.wav"),
    ],
)
def test_a_labelled_result_of_one_file_goes_into_a_folder(tree, output, target):
    assert targets(["in/a.b.wav"], output) == [target]
    assert plan_jobs(["in/a.b.wav"], output, label="_x").folder is None


@pytest.mark.parametrize("output", ["out.wav", "one.ogg"])
def test_the_folder_of_labelled_results_is_no_file(tree, output):
    with pytest.raises(UsageError, match=f"need a folder, {output} names a file"):
        plan_jobs(["in/a.b.wav"], output, label="_x")


def test_a_labelled_result_replaces_no_input(tree):
    Path("in/a.b_x.wav").touch()
    with pytest.raises(ValueError, match=r"in/a\.b_x\.wav is a noisy file"):
        plan_jobs(["in"], "in", label="_x")
    assert targets(["in/a.b_x.wav"]) == ["in/a.b_x_x.wav"]


def test_nothing_given_is_nothing_to_do(tree):
    with pytest.raises(UsageError, match="nothing to do"):
        plan_jobs([], "out")
