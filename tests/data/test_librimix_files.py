import logging

import numpy as np
import pytest
import soundfile

from sesame.data.librimix_files import check_mixtures, list_mixtures


@pytest.fixture
def subset(librimix):
    return librimix() / "Libri2Mix" / "wav16k" / "min" / "test"


def checked(folder, num_speakers=2, task="mix_clean", rate=16_000):
    return check_mixtures(list_mixtures(folder, num_speakers, task), rate)


@pytest.mark.parametrize("task", ["mix_clean", "mix_both"])
def test_files_are_matched_by_name(subset, task):
    mixtures = list_mixtures(subset, 2, task)
    assert [row.item_id for row in mixtures] == ["1-1-1_2-2-2", "3-3-3_4-4-4"]
    for row in mixtures:
        assert [path.parent.name for path in row.wavs] == [task, "s1", "s2"]
        assert {path.stem for path in row.wavs} == {row.item_id}
        assert (row.noise is None) == (task == "mix_clean")
    assert checked(subset, task=task) == [row.num_samples for row in mixtures]


@pytest.mark.parametrize("part", ["mix_clean", "s1", "s2"])
def test_a_missing_file_is_named(subset, part):
    (subset / part / "3-3-3_4-4-4.wav").unlink()
    with pytest.raises(ValueError, match=rf"{part} lacks 3-3-3_4-4-4 \(1 of 2 files\)"):
        list_mixtures(subset, 2, "mix_clean")


def test_noise_is_needed_for_noisy_mixtures_only(subset):
    (subset / "noise" / "3-3-3_4-4-4.wav").unlink()
    assert len(list_mixtures(subset, 2, "mix_clean")) == 2
    with pytest.raises(ValueError, match="noise lacks 3-3-3_4-4-4"):
        list_mixtures(subset, 2, "mix_both")


def test_an_interrupted_copy_is_found_by_its_metadata(subset):
    for part in ("mix_clean", "s1", "s2"):
        (subset / part / "3-3-3_4-4-4.wav").unlink()
    with pytest.raises(ValueError, match=r"has 1 mixtures.*list 2.*such as 3-3-3_4"):
        list_mixtures(subset, 2, "mix_clean")


def test_absent_metadata_are_told(subset, caplog):
    (subset.parent / "metadata" / "mixture_test_mix_clean.csv").unlink()
    with caplog.at_level(logging.WARNING):
        assert list_mixtures(subset, 2, "mix_clean")[0].num_samples is None
    assert "mixture_test_mix_clean.csv is missing" in caplog.text
    assert checked(subset) == [4000, 5000]


@pytest.mark.parametrize("text", ["id,length\na,1\n", "mixture_ID,length\na,long\n"])
def test_metadata_without_the_columns_are_refused(subset, text):
    (subset.parent / "metadata" / "mixture_test_mix_clean.csv").write_text(text)
    with pytest.raises(ValueError, match="must have the columns mixture_ID and length"):
        list_mixtures(subset, 2, "mix_clean")


@pytest.mark.parametrize("part", ["mix_clean", "s2"])
def test_a_file_of_another_length_rate_or_shape_is_named(subset, part):
    path = subset / part / "3-3-3_4-4-4.wav"
    soundfile.write(path, np.zeros(4999), 16_000)
    with pytest.raises(ValueError, match=rf"{part}.*\(4999 samples\).*\(5000\)"):
        checked(subset)
    soundfile.write(path, np.zeros(5000), 8_000)
    with pytest.raises(ValueError, match=rf"{part}.*\(8000 Hz\) must be 16000 Hz"):
        checked(subset)
    soundfile.write(path, np.zeros((5000, 2)), 16_000)
    with pytest.raises(ValueError, match=rf"{part}.*has 2 channels"):
        checked(subset)
    path.write_text("no audio")
    with pytest.raises(ValueError, match=rf"cannot read audio file .*{part}"):
        checked(subset)


def test_a_truncated_file_is_named(subset):
    path = subset / "s1" / "3-3-3_4-4-4.wav"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"s1.3-3-3_4-4-4\.wav"):
        checked(subset)


@pytest.mark.parametrize("task", ["mix_clean", "mix_both"])
def test_a_mixture_that_is_not_the_sum_of_its_parts_is_named(subset, audio_file, task):
    part = "s2" if task == "mix_clean" else "noise"
    path = subset / part / "3-3-3_4-4-4.wav"
    samples, _ = soundfile.read(path)
    soundfile.write(path, np.roll(samples, 1), 16_000)
    with pytest.raises(ValueError, match=r"3-3-3_4-4-4\.wav must be the sum of its"):
        checked(subset, task=task)
