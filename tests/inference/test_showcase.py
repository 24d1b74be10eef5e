import json

import numpy as np
import pytest
import soundfile

from sesame.inference.showcase import showcase

pytest.importorskip("matplotlib")


@pytest.fixture
def tested_run(run, tmp_path):
    """The run after its test, on a corpus of two pairs."""
    scores = {"pesq": {"mean": 1.5, "n_scored": 2, "n_total": 2}}
    scores["composite_variant"] = "loizou"
    for name in ("test", "noisy"):
        path = run.folder / f"{name}_scores.json"
        path.write_text(json.dumps(scores))
    rng = np.random.default_rng(0)
    (run.folder / "enhanced_wavs").mkdir()
    for kind in ("noisy", "clean"):
        (tmp_path / "data" / f"{kind}_testset_wav").mkdir(parents=True)
    for name in ("p311_001", "p311_004"):
        signal = rng.uniform(-0.5, 0.5, 4000)
        soundfile.write(run.folder / f"enhanced_wavs/{name}.wav", signal, 16000)
        for kind in ("noisy", "clean"):
            path = tmp_path / "data" / f"{kind}_testset_wav" / f"{name}.flac"
            soundfile.write(path, signal, 16000)
    run.data = tmp_path / "data"
    return run


def test_a_run_is_shown_with_model_table_and_figure(tested_run):
    lines = list(showcase(tested_run.folder, tested_run.data))
    assert "epoch 3" in lines[0]
    assert "| pesq   | 1.5000 |              2 / 2 |   1.5000 |" in lines[1]
    assert "p311_001" in lines[2]
    assert "no pretrained model" in lines[3]
    assert (tested_run.folder / "model" / "config.json").is_file()
    assert (tested_run.folder / "showcase.png").stat().st_size > 5000


def test_the_pretrained_model_enhances_the_bundled_example(tested_run, model_folder):
    lines = list(showcase(tested_run.folder, tested_run.data, model_folder))
    path = tested_run.folder / "p311_004_model.wav"
    assert str(path) in lines[-1]
    enhanced, rate = soundfile.read(path)
    assert (len(enhanced), rate) == (4000, 16000)
    assert enhanced.any()


def test_a_run_can_be_shown_twice(tested_run):
    first = list(showcase(tested_run.folder, tested_run.data))
    assert list(showcase(tested_run.folder, tested_run.data)) == first


def test_a_run_without_test_is_told_so(run, tmp_path):
    with pytest.raises(ValueError, match=r"must hold test_scores\.json"):
        list(showcase(run.folder, tmp_path))


def test_data_of_another_run_is_refused(tested_run, tmp_path):
    with pytest.raises(ValueError, match=r"noisy_testset_wav must hold p311_001"):
        list(showcase(tested_run.folder, tmp_path / "other"))
