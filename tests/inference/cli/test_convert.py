def test_a_run_becomes_a_model_that_enhances(run, tmp_path, noisy_file, call, capsys):
    model = tmp_path / "model"
    assert call("convert", run.folder, model) == 0
    assert "CKPT+a" in capsys.readouterr().out
    out = tmp_path / "out.wav"
    assert call("enhance", noisy_file, "-o", out, "--model", model) == 0


def test_a_model_is_replaced_only_by_force(run, tmp_path, call, one_line, capsys):
    model = tmp_path / "model"
    assert call("convert", run.folder, model) == 0
    capsys.readouterr()
    weights = (model / "model.safetensors").stat().st_mtime_ns
    assert call("convert", run.folder, model) == 1
    assert "model" in one_line()
    assert (model / "model.safetensors").stat().st_mtime_ns == weights
    assert call("convert", run.folder, model, "--force") == 0


def test_no_code_of_the_run_is_executed(run, tmp_path, call):
    assert call("convert", run.folder, tmp_path / "model") == 0
    assert not run.canary.exists()
