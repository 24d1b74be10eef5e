import json

import pytest
import torch

from sesame.inference import convert_run, load_model_folder
from sesame.inference.model_folder import load_seflow_folder, load_separator_folder
from sesame.inference.training_run import best_checkpoint, read_scores
from sesame.models.tf_moe import TFMoE


def assert_same_weights(folder, network):
    loaded = load_model_folder(folder)[0].state_dict()
    expected = network.state_dict()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)


def edit(run, old, new):
    path = run.folder / "hyperparams.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_converted_run_holds_the_averaged_weights(run, tmp_path):
    checkpoint = convert_run(run.folder, tmp_path / "model")
    assert checkpoint.path.name == "CKPT+a"
    assert_same_weights(tmp_path / "model", run.network)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["arguments"]["moe_blocks"] == [1]
    assert config["arguments"]["expert_hidden_dim"] is None


def test_converting_runs_nothing_that_the_yaml_file_names(run, tmp_path):
    convert_run(run.folder, tmp_path / "model")
    assert not run.canary.exists()


def test_code_in_the_arguments_of_the_network_is_refused(run, tmp_path):
    edit(run, "channels: 4", f'channels: !apply:os.system ["touch {run.canary}"]')
    with pytest.raises(ValueError, match=r"generator .* plain values: .*apply:os"):
        convert_run(run.folder, tmp_path / "model")
    assert not run.canary.exists()


def test_pickled_code_in_a_checkpoint_is_refused(run, tmp_path):
    class Harmful:
        def __reduce__(self):
            return open, (str(run.canary), "w")

    torch.save({"n_averaged": Harmful()}, run.folder / "save/CKPT+a/ema.ckpt")
    with pytest.raises(ValueError, match=r"cannot read .*ema\.ckpt"):
        convert_run(run.folder, tmp_path / "model")
    assert not run.canary.exists()


def test_without_averaged_weights_the_raw_ones_are_taken(run, tmp_path, add_checkpoint):
    add_checkpoint(run.folder, "b", 7, False, unixtime=2.0, pesq=3.0)
    convert_run(run.folder, tmp_path / "model")
    path = run.folder / "save/CKPT+b/generator.ckpt"
    weights = torch.load(path, weights_only=True)
    loaded = load_model_folder(tmp_path / "model")[0].state_dict()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_the_best_score_wins_over_the_newest_checkpoint(run, add_checkpoint):
    add_checkpoint(run.folder, "b", 2, unixtime=2.0, pesq=2.9)
    add_checkpoint(run.folder, "A", 3, unixtime=3.0, pesq=".nan")
    add_checkpoint(run.folder, "d", 4, unixtime=4.0)
    (run.folder / "save" / "CKPT+killed").mkdir()
    assert best_checkpoint(run.folder, "pesq").path.name == "CKPT+b"
    assert best_checkpoint(run.folder, "stoi").path.name == "CKPT+d"


def test_a_run_without_checkpoint_says_what_is_expected(run, tmp_path):
    (run.folder / "save" / "CKPT+a").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"save must hold a checkpoint CKPT\+"):
        convert_run(run.folder, tmp_path / "model")


def test_a_cut_checkpoint_is_named(run, tmp_path):
    path = run.folder / "save/CKPT+a/ema.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"cannot read .*CKPT\+a/ema\.ckpt"):
        convert_run(run.folder, tmp_path / "model")


def test_an_existing_model_is_replaced_only_if_asked(run, tmp_path, add_checkpoint):
    convert_run(run.folder, tmp_path / "model")
    network = add_checkpoint(run.folder, "b", 9, unixtime=2.0, pesq=3.0)
    with pytest.raises(ValueError, match="holds a model already"):
        convert_run(run.folder, tmp_path / "model")
    assert_same_weights(tmp_path / "model", run.network)
    convert_run(run.folder, tmp_path / "model", overwrite=True)
    assert_same_weights(tmp_path / "model", network)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "!new:sesame.models.SESAME",
            "!new:os.system",
            r"generator \(!new:os.system\)",
        ),
        ("models.SESAME", "models.Unknown", r"model \('Unknown'\)"),
        ("!new:sesame.features.Comp", "!new:else.Comp", r"transform \(!new:else"),
        ("sample_rate: 16000", "sample_rate: !ref <x>", "sample_rate .* plain values"),
        ("sample_rate:", "rate:", "must have the entries sample_rate"),
        ("blocks: &blocks [1]", "blocks: [", "is not YAML"),
    ],
)
def test_a_yaml_file_that_does_not_fit_is_refused(run, tmp_path, old, new, reason):
    edit(run, old, new)
    with pytest.raises(ValueError, match=reason):
        convert_run(run.folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_model_card_tells_where_the_weights_come_from(run, tmp_path):
    score = {"pesq": {"mean": 2.25, "n_scored": 9, "n_total": 10}}
    score["composite_variant"] = "loizou"
    (run.folder / "test_scores.json").write_text(json.dumps(score))
    convert_run(run.folder, tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    count = sum(p.numel() for p in run.network.parameters())
    for fact in (
        f"{count:,} parameters, 16000 Hz".replace(",", " ", 1),
        "hparams/tiny.yaml",
        "epoch: 3; averaged weights",
        "pesq 2.5000",
        "2.2500 |             9 / 10",
        "Apache-2.0",
    ):
        assert fact in card


def test_a_separator_is_converted_without_a_transform(
    tmp_path, separators, add_checkpoint
):
    arguments = {"n_fft": 64, "hop_length": 16, "num_bands": 6, "channels": 4}
    arguments |= {"num_blocks": 1, "num_experts": 3}
    lines = ["sample_rate: 16000", "generator: !new:sesame.models.TFMoE"]
    lines += [f"    {name}: {value}" for name, value in arguments.items()]
    run = tmp_path / "run"
    add_checkpoint(run, "a", seed=0, unixtime=1.0, epoch=2)
    (run / "hyperparams.yaml").write_text("\n".join(lines))
    network = TFMoE(**arguments)
    average = torch.optim.swa_utils.AveragedModel(network)
    average.update_parameters(network)
    torch.save(average.state_dict(), run / "save/CKPT+a/ema.ckpt")
    convert_run(run, tmp_path / "model")
    loaded = load_separator_folder(tmp_path / "model")[0].state_dict()
    expected = network.state_dict()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    card = (tmp_path / "model" / "README.md").read_text()
    count = sum(parameter.numel() for parameter in network.parameters())
    assert card.startswith(f"# TFMoE, {count:_} parameters, 16000 Hz".replace("_", " "))
    assert "Separator.from_pretrained" in card and "Enhancer" not in card


def test_a_seflow_is_converted_whatever_rate_its_validation_has(
    tmp_path, flow_network, add_checkpoint
):
    lines = ["generator: !new:sesame.models.SEFlow", "    width: 16", "    depth: 3"]
    lines += ["    head_channels: 4", "    context: 10", "    num_tokens: 4"]
    run = tmp_path / "run"
    add_checkpoint(run, "a", seed=0, unixtime=1.0, epoch=2)
    average = torch.optim.swa_utils.AveragedModel(flow_network)
    average.update_parameters(flow_network)
    torch.save(average.state_dict(), run / "save/CKPT+a/ema.ckpt")
    count = sum(parameter.numel() for parameter in flow_network.parameters())
    heading = f"# SEFlow, {count:_} parameters, any sampling rate".replace("_", " ")
    for rate in ([], ["sample_rate: 16000"]):
        (run / "hyperparams.yaml").write_text("\n".join([*rate, *lines]))
        convert_run(run, tmp_path / "model", overwrite=True)
        loaded = load_seflow_folder(tmp_path / "model").state_dict()
        expected = flow_network.state_dict()
        assert all(torch.equal(loaded[name], expected[name]) for name in expected)
        card = (tmp_path / "model" / "README.md").read_text()
        assert card.startswith(heading) and "FlowEnhancer.from_pretrained" in card
        assert "None" not in card and "run in windows" not in card


def test_scores_that_are_no_json_are_refused_by_name(tmp_path):
    (tmp_path / "noisy_scores.json").write_text("{")
    with pytest.raises(ValueError, match=r"noisy_scores\.json is not JSON"):
        read_scores(tmp_path, "noisy")
