import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.metrics import (
    METRICS,
    composite,
    dnsmos,
    estoi,
    evaluate_folders,
    pesq_wb,
    score_pair,
    score_pairs,
    si_sdr,
    stoi,
    summarize,
)

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


def test_a_row_holds_the_value_of_every_metric(speech_pair):
    row = score_pair(*speech_pair, RATE, (*METRICS, "llr", "wss"), variant="cmgan")
    expected = {
        "pesq": pesq_wb(*speech_pair, RATE),
        "stoi": stoi(*speech_pair, RATE),
        "estoi": estoi(*speech_pair, RATE),
        "si_sdr": si_sdr(*speech_pair, RATE),
        **composite(*speech_pair, RATE, "cmgan"),
    }
    assert row.pop("reasons") == {}
    assert row == {name: score.value for name, score in expected.items()}


@pytest.mark.parametrize("metrics", [("csig",), ("ssnr", "stoi"), ("pesq",), ["wss"]])
def test_a_row_holds_what_was_asked_for_in_that_order(metrics, speech_pair):
    whole = score_pair(*speech_pair, RATE, (*METRICS, "wss"))
    row = score_pair(*speech_pair, RATE, metrics)
    assert list(row) == [*metrics, "reasons"]
    assert all(row[name] == whole[name] for name in metrics)


def test_dnsmos_is_scored_on_the_estimate_whatever_the_target(monkeypatch, speech_pair):
    expected = dnsmos(2 * speech_pair[0].astype("f8"), RATE)["dnsmos_sig"].reason
    row = score_pair(
        2 * speech_pair[0].astype("f8"), np.zeros(9), RATE, ["dnsmos_sig", "stoi"]
    )
    assert row["reasons"] == {"dnsmos_sig": expected, "stoi": "target is silent"}


def test_cut_lengths_are_noted_beside_the_scores(speech_pair):
    noisy, clean = speech_pair
    row = score_pair(noisy[:-50], clean, RATE, FAST)
    assert all(np.isfinite(row[name]) for name in FAST)
    assert list(row["reasons"]) == ["length"]
    same = score_pair(noisy[:-50], clean[:-50], RATE, FAST)
    assert [row[name] for name in FAST] == [same[name] for name in FAST]


def test_the_allowed_difference_of_lengths_can_be_chosen(speech_pair):
    noisy, clean = speech_pair
    strict = score_pair(noisy[:-1], clean, RATE, FAST, max_length_difference=0)
    assert all(np.isnan(strict[name]) for name in FAST)
    loose = score_pair(noisy[:-999], clean, RATE, FAST, max_length_difference=1000)
    assert all(np.isfinite(loose[name]) for name in FAST)


def test_unknown_metrics_and_variants_are_refused(speech_pair):
    with pytest.raises(ValueError, match=r"metrics \['mos'\] must be among"):
        score_pair(*speech_pair, RATE, ["pesq", "mos"])
    with pytest.raises(ValueError, match="variant"):
        score_pairs([], metrics=FAST, variant="matlab")
    with pytest.raises(ValueError, match=r"num_workers \(-1\) must be at least 0"):
        score_pairs([], metrics=FAST, num_workers=-1)


def test_pairs_keep_their_order_and_bad_ones_their_row(speech_pair):
    noisy, clean = speech_pair
    pairs = [("b", noisy, clean), ("c", 0 * noisy, clean), ("a", None, clean)]
    rows = score_pairs(pairs, RATE, FAST)
    assert [row["id"] for row in rows] == ["b", "c", "a"]
    assert rows[1]["reasons"] == dict.fromkeys(FAST, "estimate is silent")
    assert rows[2]["reasons"] == dict.fromkeys(FAST, "there is no estimate")
    assert summarize(rows)["stoi"]["n_scored"] == 1


def test_a_pool_gives_the_rows_of_this_process(speech_pair):
    noisy, clean = speech_pair
    pairs = [(str(i), noisy[i:], clean[i:]) for i in range(0, 900, 100)]
    pairs.append(("silent", noisy, 0 * clean))
    alone = score_pairs(pairs, RATE, ("si_sdr", "ssnr"))
    pooled = score_pairs(iter(pairs), RATE, ("si_sdr", "ssnr"), num_workers=1)
    assert summarize(alone) == summarize(pooled)
    assert [row["id"] for row in pooled] == [name for name, *_ in pairs]
    assert pooled[-1]["reasons"] == alone[-1]["reasons"]


def test_score_pair_can_be_sent_to_a_process():
    assert pickle.loads(pickle.dumps(score_pair)) is score_pair


def test_files_score_as_the_arrays_they_hold(tmp_path, speech_pair):
    noisy, clean = speech_pair
    soundfile.write(tmp_path / "noisy.flac", noisy, RATE)
    soundfile.write(tmp_path / "clean.wav", clean, RATE)
    files = ("a", str(tmp_path / "noisy.flac"), tmp_path / "clean.wav")
    assert score_pairs([files], metrics=FAST) == score_pairs(
        [("a", noisy, clean)], metrics=FAST
    )


def test_files_are_scored_at_the_rate_they_say(tmp_path, speech_pair):
    paths = tmp_path / "noisy.wav", tmp_path / "clean.wav"
    for path, signal in zip(paths, speech_pair, strict=True):
        soundfile.write(path, signal, 8000)
    (row,) = score_pairs([("a", *paths)], sample_rate=RATE, metrics=["pesq", "stoi"])
    assert row["reasons"]["pesq"] == "sample rate is 8000 Hz, must be 16000 Hz"
    assert row["stoi"] == stoi(*speech_pair, 8000).value


def test_unreadable_files_rates_and_channels_are_reasons(tmp_path, speech_pair):
    noisy, clean = speech_pair
    paths = {name: tmp_path / f"{name}.wav" for name in ("clean", "rate", "stereo")}
    soundfile.write(paths["clean"], clean, RATE)
    soundfile.write(paths["rate"], noisy, 8000)
    soundfile.write(paths["stereo"], np.stack([noisy, noisy], axis=1), RATE)
    (tmp_path / "text.wav").write_text("no audio")
    jobs = [
        (name, tmp_path / f"{name}.wav", paths["clean"])
        for name in ("rate", "stereo", "text", "absent")
    ]
    rows = {row["id"]: row for row in score_pairs(jobs, metrics=["si_sdr"])}
    assert all(np.isnan(row["si_sdr"]) for row in rows.values())
    reasons = {name: row["reasons"]["si_sdr"] for name, row in rows.items()}
    assert reasons["rate"] == "sample rates differ: estimate 8000, target 16000 Hz"
    assert reasons["stereo"] == f"estimate must be mono (L,), got ({noisy.size}, 2)"
    assert reasons["text"].startswith("cannot read")
    assert reasons["absent"].startswith("cannot read")


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
