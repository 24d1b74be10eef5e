import logging

import pytest
import soundfile

from sesame.data.vb_demandex.cli import main


@pytest.fixture
def words(tmp_path, plain):
    folders = ["--clean", plain / "speech", "--noise", plain / "noise"]
    words = [tmp_path / "out", *folders, "--splits", "test", "--all-speakers"]
    return [str(word) for word in words]


def test_a_set_is_built_and_measured(words, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert main([*words, "--items-per-file", "2", "--snrs", "-5", "10"]) == 0
    assert "test: 12 pairs to make" in caplog.text
    assert "12 pairs written, 0 kept" in caplog.text
    assert "| test | ssn | 4 |" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert main([str(tmp_path / "out"), "--verify-only"]) == 0
    assert "| test | babble | 4 |" in caplog.text and "written" not in caplog.text


def test_the_published_counts_are_told_beside_ours(tmp_path, voicebank, demand, caplog):
    folders = ["--clean", str(voicebank), "--noise", str(demand)]
    with caplog.at_level(logging.INFO):
        assert main([str(tmp_path / "out"), *folders]) == 0
    for count in (10_842, 730, 826):
        assert f"(VB-DemandEx has {count})" in caplog.text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "build.json",
        "mixtures.csv",
        "test",
        "test.json",
        "train",
        "train.json",
        "valid",
        "valid.json",
    ]


def test_a_wrong_file_is_the_exit_status(words, tmp_path, caplog):
    assert main(words) == 0
    path = next((tmp_path / "out" / "test" / "noisy").glob("*.wav"))
    soundfile.write(path, [0.1] * 6000, 16_000)
    assert main([*words, "--verify-only"]) == 1
    assert f"test {path.stem}: " in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--snrs", "5", "--max-seconds", "-1"], "Error: max_seconds (-1.0) must be"),
        (["--noise-types", "x"], "Error: noise_types (['x']) must be among"),
        (["--clean", "absent"], "Error: audio folder absent does not exist"),
    ],
)
def test_bad_input_is_one_clear_line(words, changes, message, caplog):
    assert main([*words, *changes]) == 1
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith(message)


def test_folders_must_be_named(tmp_path, caplog):
    assert main([str(tmp_path / "out")]) == 1
    assert "--clean and --noise must name folders" in caplog.text
