import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.metrics import evaluate_folders, score_pair, summarize, write_scores

RATE = 16000
FAST = ("stoi", "si_sdr", "ssnr")
CORPUS = Path(__file__).parents[3] / "shared/data/voicebank-demand-test"


def write_folders(root, **folders):
    for name, files in folders.items():
        for file, signal in files.items():
            path = root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, signal, RATE)
    return {name: root / name for name in folders}


def test_folders_are_matched_by_name_without_suffix(tmp_path, speech_pair):
    noisy, clean = speech_pair
    folders = write_folders(
        tmp_path,
        clean={"p1/a.wav": clean, "b.wav": clean},
        enhanced={"b.flac": clean // 2, "p1/a.wav": noisy, "extra.wav": noisy},
        noisy={"b.wav": noisy, "p1/a.wav": noisy},
    )
    (tmp_path / "clean" / "._b.wav").write_bytes(b"left by another file system")
    scores = evaluate_folders(**folders, metrics=FAST)
    assert [row["id"] for row in scores.enhanced] == ["b", "p1/a"]
    assert scores.enhanced[1] == scores.noisy[1]
    assert scores.enhanced[0]["si_sdr"] > scores.noisy[0]["si_sdr"]
    assert scores.unmatched == ["extra"]


def test_clean_files_without_a_counterpart_are_counted(tmp_path, speech_pair):
    noisy, clean = speech_pair
    folders = write_folders(
        tmp_path, clean={"a.wav": clean, "b.wav": clean}, enhanced={"b.wav": noisy}
    )
    scores = evaluate_folders(**folders, metrics=["si_sdr"])
    assert scores.noisy is None
    summary = summarize(scores.enhanced)["si_sdr"]
    assert (summary["n_scored"], summary["n_total"]) == (1, 2)
    assert scores.enhanced[0]["reasons"] == {"si_sdr": "there is no estimate"}


def test_folders_that_cannot_be_compared_are_refused(tmp_path, speech_pair):
    _, clean = speech_pair
    folders = write_folders(
        tmp_path,
        clean={"a.wav": clean},
        other={"b.wav": clean},
        twice={"a.wav": clean, "a.flac": clean},
    )
    (tmp_path / "empty").mkdir()
    for name, rule in {
        "other": "namesake",
        "twice": "must not share a name",
        "empty": "must have audio files",
        "absent": "must be a folder",
    }.items():
        with pytest.raises(ValueError, match=rule):
            evaluate_folders(folders["clean"], tmp_path / name, metrics=FAST)


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"needs {CORPUS.name} in ../shared")
def test_noisy_scores_of_25_voicebank_files_are_the_known_ones():
    pytest.importorskip("pesq")
    scores = evaluate_folders(
        CORPUS / "clean_testset_wav",
        CORPUS / "noisy_testset_wav",
        metrics=("pesq", "stoi", "si_sdr"),
    )
    summary = summarize(scores.enhanced)
    assert summary["pesq"]["mean"] == pytest.approx(2.192265191, abs=1e-4)
    assert summary["stoi"]["mean"] == pytest.approx(0.9319, abs=1e-4)
    assert summary["si_sdr"]["mean"] == pytest.approx(8.19, abs=0.005)
    assert {entry["n_scored"] for entry in summary.values()} == {25}


def test_single_files_belong_together_whatever_their_names(tmp_path, speech_pair):
    noisy, clean = speech_pair
    folders = write_folders(tmp_path, x={"clean.wav": clean, "out.wav": noisy})
    files = folders["x"] / "clean.wav", folders["x"] / "out.wav"
    (row,) = evaluate_folders(*files, metrics=FAST).enhanced
    assert row == {"id": "out", **score_pair(noisy, clean, RATE, FAST)}
    with pytest.raises(ValueError, match=r"out.wav must be a folder"):
        evaluate_folders(folders["x"], files[1], metrics=FAST)


def test_without_references_the_enhanced_files_are_the_list(tmp_path, speech_pair):
    noisy, clean = speech_pair
    folders = write_folders(
        tmp_path, enhanced={"b.wav": clean, "a.wav": clean}, noisy={"a.wav": noisy}
    )
    scores = evaluate_folders(None, **folders, metrics=["scoreq"])
    assert [row["id"] for row in scores.enhanced] == ["a", "b"]
    assert scores.noisy[1]["reasons"] == {"scoreq": "there is no estimate"}
    assert scores.unmatched == []


@pytest.fixture
def corpus(tmp_path, speech_pair):
    """Folders of five pairs, one of which has no score."""
    noisy, clean = speech_pair
    files = {f"{name}.wav": clean[i:] for i, name in enumerate("abcde")}
    estimates = {f"{name}.wav": noisy[i:] for i, name in enumerate("abcde")}
    estimates["c.wav"] = 0 * noisy
    return write_folders(tmp_path, clean=files, enhanced=estimates, noisy=estimates)


def evaluate(corpus, log=None, **options):
    return evaluate_folders(**corpus, log_path=log, **{"metrics": FAST} | options)


def as_csv(scores, path):
    write_scores(scores.enhanced, path, None, FAST)
    return path.read_bytes()


def interrupt_after(count):
    def progress(num_done, num_total):
        if num_done == count:
            raise KeyboardInterrupt

    return progress


def count_scored(monkeypatch):
    """Names of the files that are scored from now on."""
    scored = []
    module = sys.modules["sesame.metrics.evaluate"]
    original = module.score_pair

    def count(*arguments, **options):
        scored.append(arguments[0].size)
        return original(*arguments, **options)

    monkeypatch.setattr(module, "score_pair", count)
    return scored


def test_a_run_that_goes_on_gives_the_bytes_of_one_that_was_never_stopped(
    tmp_path, corpus, monkeypatch
):
    whole = evaluate(corpus)
    log = tmp_path / "scores.jsonl"
    for count in (2, 3, 7):
        with pytest.raises(KeyboardInterrupt):
            evaluate(corpus, log, progress=interrupt_after(count))
        assert log.read_bytes().count(b"\n") == count
    scored = count_scored(monkeypatch)
    resumed = evaluate(corpus, log)
    assert len(scored) == 3
    assert as_csv(resumed, tmp_path / "a.csv") == as_csv(whole, tmp_path / "b.csv")
    assert summarize(resumed.noisy) == summarize(whole.noisy)
    scored.clear()
    again = evaluate(corpus, log)
    assert scored == []
    assert as_csv(again, tmp_path / "c.csv") == as_csv(whole, tmp_path / "b.csv")


def test_a_torn_line_is_dropped_and_its_file_scored_again(
    tmp_path, corpus, monkeypatch
):
    log = tmp_path / "scores.jsonl"
    whole = evaluate(corpus, log)
    content = log.read_bytes()
    scored = count_scored(monkeypatch)
    for cut in (1, 5, 200):
        log.write_bytes(content[:-cut])
        scored.clear()
        assert as_csv(evaluate(corpus, log), tmp_path / "a.csv") == as_csv(
            whole, tmp_path / "b.csv"
        )
        assert len(scored) == 1
        assert log.read_bytes() == content


@pytest.mark.parametrize("system", ["enhanced", "clean"])
def test_a_file_that_changed_is_scored_again(tmp_path, corpus, monkeypatch, system):
    log = tmp_path / "scores.jsonl"
    before = evaluate(corpus, log)
    path = corpus[system] / "b.wav"
    signal, _ = soundfile.read(path, dtype="int16")
    soundfile.write(path, signal[::-1], RATE)
    scored = count_scored(monkeypatch)
    after = evaluate(corpus, log)
    assert len(scored) == (1 if system == "enhanced" else 2)
    assert after.enhanced[1]["si_sdr"] != before.enhanced[1]["si_sdr"]
    assert after.enhanced[0] == before.enhanced[0]


@pytest.mark.parametrize(
    "options",
    [
        {"metrics": ("si_sdr",)},
        {"variant": "cmgan"},
        {"align_first": True},
        {"max_length_difference": 0},
        {"model_files": {"scoreq_weights": __file__}},
    ],
)
def test_rows_made_with_other_settings_do_not_count(
    tmp_path, corpus, monkeypatch, options
):
    log = tmp_path / "scores.jsonl"
    evaluate(corpus, log)
    scored = count_scored(monkeypatch)
    evaluate(corpus, log, **options)
    assert len(scored) == 10
    scored.clear()
    evaluate(corpus, log)
    assert scored == []


def test_progress_counts_every_file_once(corpus):
    steps = []
    evaluate(corpus, progress=lambda *step: steps.append(step))
    assert steps == [(number, 10) for number in range(1, 11)]


def test_the_settings_say_what_the_scores_were_made_with(corpus):
    settings = evaluate(corpus, align_first=True).settings
    assert settings["metrics"] == list(FAST) and settings["align_first"] is True
    assert settings["versions"]["numpy"] == np.__version__
