import os

import numpy as np
import pytest
import soundfile

from sesame.metrics import iterate_scores, score_pair, score_pairs, stoi, summarize

RATE = 16000
FAST = ("stoi", "si_sdr", "ssnr")


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
    assert row == {"id": "a", **score_pair(*speech_pair, 8000, ["pesq", "stoi"])}
    assert row["stoi"] == stoi(*speech_pair, 8000).value


def test_arrays_have_the_rate_that_was_named_also_beside_a_file(tmp_path, speech_pair):
    noisy, clean = speech_pair
    soundfile.write(tmp_path / "noisy.wav", noisy, 8000)
    (row,) = score_pairs([("a", tmp_path / "noisy.wav", clean)], RATE, ["si_sdr"])
    assert row["reasons"]["si_sdr"].startswith("sample rates differ: estimate 8000,")


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


def test_metrics_without_a_reference_need_no_target(tmp_path, speech_pair):
    noisy, _ = speech_pair
    soundfile.write(tmp_path / "noisy.wav", noisy, 8000)
    job = "a", tmp_path / "noisy.wav", None
    (row,) = score_pairs([job], metrics=["scoreq", "stoi"])
    assert row["reasons"]["stoi"] == "there is no target"
    assert row["reasons"]["scoreq"].startswith("the weights are missing")


def test_rows_come_one_by_one(speech_pair):
    asked = []

    def pairs():
        for name in "abc":
            asked.append(name)
            yield name, *speech_pair

    rows = iterate_scores(pairs(), RATE, ["si_sdr"])
    assert next(rows)["id"] == "a" and asked == ["a"]
    rows.close()
    assert list(rows) == []


def test_wrong_choices_are_told_before_the_first_row():
    for options in ({"metrics": ["mos"]}, {"num_workers": -1}, {"variant": "x"}):
        with pytest.raises(ValueError):
            iterate_scores([], **options)
    with pytest.raises(ValueError, match=r"model_files \['mos'\] must be among"):
        iterate_scores([], model_files={"mos": "file"})


class Bomb:
    """Ends the process that unpacks it."""

    def __reduce__(self):
        return os._exit, (3,)


def test_a_worker_that_dies_is_an_error_of_one_line():
    with pytest.raises(ChildProcessError, match="scoring process died"):
        score_pairs([("a", Bomb(), None)], RATE, ["stoi"], num_workers=1)
