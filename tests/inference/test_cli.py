import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from sesame.inference import Enhancer, cli
from sesame.metrics import VARIANTS


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.startswith("sesame: ") and error.count("\n") == 1
    return error


@pytest.fixture
def folders(tmp_path):
    """Clean, enhanced and noisy folders of two files."""
    rng = np.random.default_rng(0)
    clean = rng.uniform(-0.5, 0.5, (2, 16000))
    noise = rng.uniform(-0.5, 0.5, (2, 16000))
    for kind, gain in ("clean", 0.0), ("enhanced", 0.05), ("noisy", 0.5):
        (tmp_path / kind).mkdir()
        for name, signal in zip("ab", clean + gain * noise, strict=True):
            soundfile.write(tmp_path / kind / f"{name}.wav", signal / 2, 16000)
    return tmp_path


def test_enhancing_keeps_rate_channels_length_and_sample_format(
    noisy_file, model_folder, tmp_path
):
    out = tmp_path / "new" / "out.wav"
    assert call("enhance", noisy_file, "-o", out, "--model", model_folder) == 0
    for key in ("samplerate", "channels", "frames", "subtype", "format"):
        before, after = soundfile.info(noisy_file), soundfile.info(out)
        assert getattr(before, key) == getattr(after, key)
    noisy, rate = soundfile.read(noisy_file)
    expected = Enhancer.from_pretrained(model_folder)(noisy.T, rate).T
    np.testing.assert_allclose(soundfile.read(out)[0], expected, atol=2**-22)


def test_another_file_format_is_written_in_its_own_sample_format(
    noisy_file, model_folder, tmp_path
):
    out = tmp_path / "out.ogg"
    assert call("enhance", noisy_file, "-o", out, "--model", model_folder) == 0
    assert soundfile.info(out).subtype == "VORBIS"


def test_an_existing_file_is_replaced_only_by_force(
    noisy_file, model_folder, tmp_path, capsys
):
    out = tmp_path / "out.wav"
    out.write_text("precious")
    command = ["enhance", noisy_file, "-o", out, "--model", model_folder]
    assert call(*command) == 1
    assert "--force" in one_line(capsys)
    assert out.read_text() == "precious"
    assert call(*command, "--force") == 0
    assert soundfile.info(out).frames == 4001


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["enhance", "absent.wav", "-o", "out.wav"], "no file absent.wav"),
        (["enhance", "NOISY", "-o", "out.doc"], "suffix of out.doc"),
        (["enhance", "NOISY", "-o", "."], "is a folder"),
        (["routing", "NOISY", "--figure", "out.doc"], "suffix of out.doc"),
    ],
)
def test_a_failure_is_one_line_and_leaves_no_file(
    noisy_file, model_folder, tmp_path, monkeypatch, capsys, arguments, reason
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    arguments = [noisy_file if a == "NOISY" else a for a in arguments]
    assert call(*arguments, "--model", model_folder) == 1
    assert reason in one_line(capsys)
    assert sorted(tmp_path.iterdir()) == before


def test_without_any_model_the_message_says_how_to_give_one(
    noisy_file, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(cli, "DEFAULT_MODEL", tmp_path / "pretrained")
    assert call("enhance", noisy_file, "-o", tmp_path / "out.wav") == 1
    assert "--model FOLDER" in one_line(capsys)


def test_the_default_model_is_used_where_there_is_one(
    noisy_file, model_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(cli, "DEFAULT_MODEL", model_folder)
    assert call("enhance", noisy_file, "-o", tmp_path / "out.wav") == 0


@pytest.mark.parametrize(
    "arguments",
    [[], ["denoise"], ["enhance", "a.wav"], ["evaluate", "--clean", "a"]],
)
def test_wrong_arguments_end_with_2(arguments):
    with pytest.raises(SystemExit) as caught:
        call(*arguments)
    assert caught.value.code == 2


def test_ctrl_c_ends_with_130(monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_convert", interrupted)
    assert call("convert", "a", "b") == 130


def test_help_and_wrong_arguments_do_not_load_torch():
    code = (
        "import sys\n"
        "from sesame.inference.cli import main\n"
        "try:\n"
        "    main(['enhance', '--help'])\n"
        "except SystemExit:\n"
        "    loaded = {'torch', 'numpy', 'soundfile'} & set(sys.modules)\n"
        "    sys.exit(str(loaded) if loaded else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--force" in done.stdout


def test_the_module_can_be_run():
    command = [sys.executable, "-m", "sesame.inference.cli", "convert", "absent", "x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("sesame: results folder absent must hold")
    assert done.stderr.count("\n") == 1


def test_routing_is_drawn_and_told(noisy_file, model_folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    figure = tmp_path / "f.png"
    command = ["routing", noisy_file, "--figure", figure, "--model", model_folder]
    assert call(*command) == 0
    assert figure.stat().st_size > 5000
    lines = capsys.readouterr().out.splitlines()
    assert [line[:7] for line in lines] == ["block 1", "block 1"]
    shares = [float(word) for word in lines[0].split(":")[1].split()]
    assert len(shares) == 3 and sum(shares) == pytest.approx(100, abs=0.2)


def test_a_run_is_converted(run, tmp_path, noisy_file, capsys):
    model = tmp_path / "model"
    assert call("convert", run.folder, model) == 0
    assert "CKPT+a" in capsys.readouterr().out
    assert call("convert", run.folder, model) == 1
    assert call("convert", run.folder, model, "--force") == 0
    out = tmp_path / "out.wav"
    assert call("enhance", noisy_file, "-o", out, "--model", model) == 0


def test_evaluating_prints_a_table_and_writes_both_files(folders, capsys):
    command = ["evaluate", "--clean", folders / "clean"]
    command += ["--enhanced", folders / "enhanced", "--noisy", folders / "noisy"]
    command += ["--json", folders / "s.json", "--csv", folders / "s.csv"]
    assert call(*command, "--composite-variant", "cmgan") == 0
    table = capsys.readouterr().out
    assert "noisy" in table and "csig (cmgan)" in table
    scores = json.loads((folders / "s.json").read_text())
    assert scores["si_sdr"]["n_scored"] == scores["si_sdr"]["n_total"] == 2
    assert scores["si_sdr"]["mean"] > scores["noisy"]["si_sdr"]["mean"] + 10
    assert len((folders / "s.csv").read_text().splitlines()) == 3


def test_a_file_that_cannot_be_scored_is_counted_and_explained(folders, capsys):
    (folders / "enhanced" / "b.wav").unlink()
    soundfile.write(folders / "enhanced" / "c.wav", np.zeros(100), 16000)
    command = ["evaluate", "--clean", folders / "clean"]
    assert call(*command, "--enhanced", folders / "enhanced") == 0
    told = capsys.readouterr()
    assert "1 / 2" in told.out
    assert "1 enhanced files have no clean file" in told.err
    assert "there is no estimate" in told.err


def test_variants_are_those_of_the_metrics():
    assert set(cli.VARIANTS) == set(VARIANTS)
