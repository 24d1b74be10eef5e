import argparse
import sys

import numpy as np
import pytest
import soundfile
import soxr

from sesame.inference import figures
from sesame.inference.cli import compare
from sesame.metrics import DNSMOS_METRICS, METRICS, format_table, score_pair

RATE = 16000


def call(*arguments):
    parser = argparse.ArgumentParser()
    compare.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["compare", *map(str, arguments)])
    return parsed.run(parsed)


@pytest.fixture
def files(tmp_path):
    """Noisy, enhanced and clean files of one second."""
    clean, noise = np.random.default_rng(0).uniform(-0.25, 0.25, (2, RATE))
    paths = []
    for name, gain in ("noisy", 0.5), ("enhanced", 0.05), ("clean", 0.0):
        paths.append(tmp_path / f"{name}.wav")
        soundfile.write(paths[-1], clean + gain * noise, RATE)
    return paths


@pytest.fixture
def drawn(monkeypatch):
    """What spectrograms are drawn of."""
    calls = []
    original = figures.spectrogram_figure

    def draw(signals, sample_rate):
        lengths = {title: len(signal) for title, signal in signals.items()}
        calls.append((lengths, sample_rate))
        return original(signals, sample_rate)

    monkeypatch.setattr(figures, "spectrogram_figure", draw)
    return calls


def test_a_reference_gives_the_scores_of_each_file(files, tmp_path, capsys, drawn):
    noisy, enhanced, clean = files
    figure = tmp_path / "new" / "f.png"
    assert call(noisy, enhanced, "--clean", clean, "--figure", figure) in (None, 0)
    target, _ = soundfile.read(clean)
    systems = {
        path.name: [score_pair(soundfile.read(path)[0], target, RATE, METRICS)]
        for path in (noisy, enhanced)
    }
    assert capsys.readouterr().out == format_table(systems) + "\n"
    assert figure.stat().st_size > 5000
    titles = ["noisy.wav", "enhanced.wav", "clean reference"]
    assert drawn == [(dict.fromkeys(titles, RATE), RATE)]


def test_without_a_reference_only_dnsmos_is_asked(files, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "speechmos", None)
    call(*files[:2])
    out = capsys.readouterr().out
    rows = [line.split()[1] for line in out.splitlines() if line.startswith("| dns")]
    assert rows == list(DNSMOS_METRICS)
    names = ", ".join(DNSMOS_METRICS)
    assert f"{names}: n/a (package speechmos is missing: pip install" in out


def test_files_of_any_rate_are_drawn_at_the_lowest_and_scored(
    files, tmp_path, capsys, drawn
):
    noisy, _, clean = files
    for rate in (8000, 44100):
        samples = soxr.resample(soundfile.read(noisy)[0], RATE, rate)
        soundfile.write(tmp_path / f"{rate}.wav", samples, rate)
    paths = tmp_path / "44100.wav", noisy, tmp_path / "8000.wav"
    call(*paths, "--clean", clean, "--figure", tmp_path / "f.png")
    titles = ["44100.wav", "noisy.wav", "8000.wav", "clean reference"]
    assert drawn == [(dict.fromkeys(titles, 8000), 8000)]
    out = capsys.readouterr().out
    assert "n/a" not in out and out.count("1 / 1") == 3 * len(METRICS)


def test_a_file_of_another_length_has_no_score_and_says_why(files, capsys):
    noisy, enhanced, clean = files
    soundfile.write(noisy, soundfile.read(noisy)[0][:-101], RATE)
    call(noisy, enhanced, "--clean", clean)
    (line,) = (x for x in capsys.readouterr().out.splitlines() if "n/a (" in x)
    assert line.startswith("pesq, stoi, estoi, ") and "covl of noisy.wav: n/a" in line
    assert "lengths differ by more than 100 samples" in line


def test_channels_are_drawn_as_their_named_mean_and_never_scored(
    files, tmp_path, capsys, drawn
):
    noisy, _, clean = files
    stereo = np.stack([soundfile.read(path)[0] for path in (noisy, clean)], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, RATE)
    call(tmp_path / "stereo.wav", "--clean", clean, "--figure", tmp_path / "f.png")
    assert next(iter(drawn[0][0])) == "stereo.wav (mean of 2 channels)"
    assert "n/a (estimate must be mono" in capsys.readouterr().out


def test_files_of_one_name_are_told_apart_by_their_folders(files, tmp_path, capsys):
    other = tmp_path / "other" / files[0].name
    other.parent.mkdir()
    other.write_bytes(files[1].read_bytes())
    call(files[0], other, "--clean", files[2])
    head = capsys.readouterr().out.splitlines()[0]
    assert str(files[0]) in head and str(other) in head


def test_an_existing_figure_is_replaced_only_by_force(files, tmp_path):
    figure = tmp_path / "f.png"
    figure.write_text("precious")
    command = *files[:1], "--clean", files[2], "--figure", figure
    with pytest.raises(ValueError, match="--force"):
        call(*command)
    assert figure.read_text() == "precious"
    call(*command, "--force")
    assert figure.stat().st_size > 5000


@pytest.mark.parametrize("name", ["absent.wav", "text.wav"])
def test_a_file_that_cannot_be_read_is_named_before_anything_is_made(
    files, tmp_path, name
):
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(ValueError, match=name):
        call(files[0], tmp_path / name, "--figure", tmp_path / "f.png")
    assert not (tmp_path / "f.png").exists()
