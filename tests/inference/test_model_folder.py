import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import sesame.models
from sesame.inference import (
    load_model_folder,
    load_seflow_folder,
    save_model_folder,
)
from sesame.inference.model_folder import (
    load_model,
    load_separator_folder,
    names_seflow,
)
from sesame.models import SESAME
from sesame.models.mag_phase import MagPhaseEnhancer
from sesame.models.seflow import SEFlow
from sesame.models.tf_moe import TFConformer

PRETRAINED = Path(__file__).resolve().parents[2] / "pretrained" / "sesame-small"


def change_config(folder, change):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def change_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def test_a_saved_network_comes_back_in_evaluation_mode(model_folder, tiny):
    network, transform, sample_rate = load_model_folder(model_folder)
    assert type(network) is SESAME and not network.training
    expected = tiny.network.state_dict()
    actual = network.state_dict()
    assert list(actual) == list(expected)
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    settings = {name: getattr(transform, name) for name in tiny.transform_arguments}
    assert settings == tiny.transform_arguments
    assert sample_rate == 16000


def test_the_systems_that_tests_run_through_are_all_there_are(system_names):
    tested = {name.split()[0] for name in system_names}
    systems = {name: getattr(sesame.models, name) for name in sesame.models.__all__}
    assert tested == {n for n, s in systems.items() if issubclass(s, MagPhaseEnhancer)}


def test_every_system_comes_back_as_it_was(system):
    network, _, _ = load_model_folder(system.folder)
    expected, actual = system.network.state_dict(), network.state_dict()
    assert type(network) is type(system.network)
    assert list(actual) == list(expected)
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


def test_everyone_may_read_a_model_folder(model_folder):
    modes = {path.name: path.stat().st_mode & 0o777 for path in model_folder.iterdir()}
    assert set(modes.values()) == {0o644}, modes


def test_defaults_of_today_are_written_out(tiny, tmp_path):
    arguments = {"num_bins": 33, "channels": 4, "num_blocks": 1, "moe_blocks": []}
    weights = SESAME(**arguments).state_dict()
    transform = tiny.transform_arguments
    save_model_folder(tmp_path, "SESAME", arguments, transform, 16000, weights)
    written = json.loads((tmp_path / "config.json").read_text())["arguments"]
    assert written["num_heads"] == 4 and written["top_k"] == 2
    load_model_folder(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(model_folder, name):
    (model_folder / name).unlink()
    with pytest.raises(ValueError, match=f"must hold .*: {name} is missing"):
        load_model_folder(model_folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent must hold .* no such folder"):
        load_model_folder(tmp_path / "absent")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.pop("sample_rate"), "missing: sample_rate"),
        (lambda c: c.update(licence="x"), "unknown: licence"),
        (lambda c: c.update(format=2), r"format \(2\) must be 1"),
        (lambda c: c.update(model="Transformer"), r"model \('Transformer'\)"),
        (lambda c: c.update(model="MetricDiscriminator"), "model .* must be one of"),
        (lambda c: c.update(model="__builtins__"), "model .* must be one of"),
        (lambda c: c.update(model=["SESAME"]), "model .* must be one of"),
        (lambda c: c.update(sample_rate=16000.0), r"sample_rate \(16000.0\)"),
        (lambda c: c.update(sample_rate=True), r"sample_rate \(True\)"),
        (lambda c: c.update(arguments=[]), r"arguments of SESAME .* a mapping"),
        (lambda c: c["arguments"].update(depth=3), "SESAME: unknown: depth"),
        (lambda c: c["arguments"].update(top_k=9), r"top_k \(9\)"),
        (lambda c: c["arguments"].update(channels="4"), "SESAME with "),
        (lambda c: c["arguments"].update(channels={"a": 1}), r"channels .* a value"),
        (lambda c: c["arguments"].update(num_bins=65), r"num_bins \(65\) .*\(33\)"),
        (lambda c: c["transform"].pop("exponent"), "transform: missing: exponent"),
        (lambda c: c["transform"].update(window=1), "transform: unknown: window"),
        (lambda c: c["transform"].update(n_fft="64"), r"n_fft \('64'\)"),
        (lambda c: c["transform"].update(hop_length=64), r"hop_length \(64\)"),
        (lambda c: c["transform"].update(exponent=None), r"exponent \(None\)"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(model_folder, change, reason):
    change_config(model_folder, change)
    with pytest.raises(ValueError, match=reason) as caught:
        load_model_folder(model_folder)
    assert "config.json" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("\xff" * 3, "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "must be a mapping"),
        (" " * 1_000_001, r"\(1000001 bytes\) must be at most"),
    ],
)
def test_a_configuration_that_is_none_is_refused(model_folder, text, reason):
    (model_folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=reason):
        load_model_folder(model_folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w.pop("noise_context.norm.bias"), "missing: noise_context.norm"),
        (lambda w: w.update(extra=torch.zeros(1)), "unknown: extra"),
        (
            lambda w: w.update({"noise_context.norm.bias": torch.zeros(9)}),
            r"misshapen: noise_context.norm.bias \(9,\) instead of \(2,\)",
        ),
        (lambda w: w.clear(), r"missing: .* and \d+ more"),
    ],
)
def test_weights_of_another_network_are_refused(model_folder, change, reason):
    change_weights(model_folder, change)
    with pytest.raises(ValueError, match=reason) as caught:
        load_model_folder(model_folder)
    assert "model.safetensors" in str(caught.value)


@pytest.mark.parametrize("kept", [0, 7, 5000])
def test_a_cut_weights_file_is_refused(model_folder, kept):
    path = model_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load_model_folder(model_folder)


def test_what_could_not_be_loaded_is_not_saved(tiny, tmp_path):
    weights = tiny.network.state_dict()
    weights.pop("noise_context.norm.bias")
    with pytest.raises(ValueError, match="missing: noise_context"):
        save_model_folder(
            tmp_path / "model",
            "SESAME",
            tiny.arguments,
            tiny.transform_arguments,
            16000,
            weights,
        )
    assert not (tmp_path / "model").exists()


def saved_again(folder, target):
    config = json.loads((folder / "config.json").read_text())
    save_model_folder(
        target,
        config["model"],
        config["arguments"],
        config["transform"],
        config["sample_rate"],
        load_file(folder / "model.safetensors"),
    )
    return target


def test_a_separator_comes_back_without_a_transform(separator_folder):
    separator = separator_folder()
    network, sample_rate = load_separator_folder(separator.folder)
    expected, actual = separator.network.state_dict(), network.state_dict()
    assert type(network) is type(separator.network) and not network.training
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    assert sample_rate == 16000 and load_model(separator.folder).transform is None
    config = json.loads((separator.folder / "config.json").read_text())
    assert config["transform"] is None and config["arguments"]["top_k"] == 1


def test_a_separator_has_no_file_that_speechbrain_would_run(model_folder, separators):
    arguments = {"num_bands": 6, "channels": 4, "num_blocks": 1, "n_fft": 64}
    arguments["hop_length"] = 16
    weights = TFConformer(**arguments).state_dict()
    save_model_folder(model_folder, "TFConformer", arguments, None, 16000, weights)
    assert not (model_folder / "hyperparams.yaml").exists()
    load_separator_folder(model_folder)


def test_each_kind_of_model_is_refused_where_the_other_is_needed(
    model_folder, separator_folder
):
    with pytest.raises(ValueError, match=r"SESAME enhances .* use 'sesame enhance'"):
        load_separator_folder(model_folder)
    with pytest.raises(ValueError, match=r"TFMoE separates .* use 'sesame separate'"):
        load_model_folder(separator_folder().folder)


class Plain(yaml.SafeLoader):
    """Reads ``!new:`` as a pair of name and arguments, ``!ref`` as text."""


def read_new(loader, name, node):
    return name, loader.construct_mapping(node, deep=True)


Plain.add_multi_constructor("!new:", read_new)
Plain.add_constructor("!ref", yaml.SafeLoader.construct_scalar)


def test_hyperparams_say_what_the_configuration_says(model_folder):
    config = json.loads((model_folder / "config.json").read_text())
    text = (model_folder / "hyperparams.yaml").read_text()
    assert yaml.load(text, Plain) == {
        "sample_rate": config["sample_rate"],
        "transform": ("sesame.features.CompressedSTFT", config["transform"]),
        "generator": ("sesame.models.SESAME", config["arguments"]),
        "modules": {"generator": "<generator>"},
    }


def test_hyperparams_begin_by_saying_what_they_are(model_folder):
    comment = (model_folder / "hyperparams.yaml").read_text().split("sample_rate")[0]
    assert comment.startswith("# Generated from config.json; do not edit.")
    assert "SpeechBrain runs a file like this as code" in comment


def test_a_command_among_the_values_is_not_saved(model_folder, tmp_path):
    canary = tmp_path / "canary"
    command = f"!apply:os.system [touch {canary}]"
    weights = load_file(model_folder / "model.safetensors")
    config = json.loads((model_folder / "config.json").read_text())
    config["arguments"]["expert_hidden_dim"] = command
    with pytest.raises(ValueError, match="SESAME with"):
        save_model_folder(
            tmp_path / "other",
            "SESAME",
            config["arguments"],
            config["transform"],
            16000,
            weights,
        )
    assert not (tmp_path / "other").exists() and not canary.exists()


@pytest.mark.parametrize(
    "content",
    ["x: !apply:os.system [touch {canary}]", "x: !new:os.absent", "\0 : ["],
)
def test_hyperparams_are_never_read(model_folder, tmp_path, content):
    canary = tmp_path / "canary"
    path = model_folder / "hyperparams.yaml"
    path.write_text(content.format(canary=canary))
    load_model_folder(model_folder)
    assert not canary.exists()
    path.unlink()
    load_model_folder(model_folder)


def test_saving_again_replaces_edited_hyperparams(model_folder):
    path = model_folder / "hyperparams.yaml"
    before = path.read_text()
    path.write_text("edited")
    saved_again(model_folder, model_folder)
    assert path.read_text() == before


def test_the_shipped_hyperparams_are_the_generated_ones(tmp_path):
    again = saved_again(PRETRAINED, tmp_path / "again")
    for name in ("config.json", "hyperparams.yaml", "model.safetensors"):
        assert (again / name).read_bytes() == (PRETRAINED / name).read_bytes(), name


def test_a_seflow_comes_back_as_it_was(flow_network, flow_folder):
    network = load_seflow_folder(flow_folder)
    expected, actual = flow_network.state_dict(), network.state_dict()
    assert type(network) is SEFlow and not network.training
    assert list(actual) == list(expected)
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    noisy = torch.randn(1, 500)
    with torch.no_grad():
        assert torch.equal(network(noisy, 8000), flow_network(noisy, 8000))
    # SpeechBrain has no interface that would run it.
    assert not (flow_folder / "hyperparams.yaml").exists()
    assert "parent" not in json.loads((flow_folder / "config.json").read_text())


def test_the_weights_of_a_slice_are_not_those_of_the_network(flow_network, flow_folder):
    save_file(flow_network.subnet(0.5).state_dict(), flow_folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors: .* of this SEFlow"):
        load_seflow_folder(flow_folder)


def test_the_other_loaders_say_what_runs_a_seflow(flow_folder, model_folder):
    for load in (load_model_folder, load_separator_folder):
        with pytest.raises(ValueError, match=r"flow: SEFlow .*FlowEnhancer"):
            load(flow_folder)
    with pytest.raises(ValueError, match=r"model: SESAME enhances speech"):
        load_seflow_folder(model_folder)


def test_a_folder_that_is_none_names_no_seflow(flow_folder, model_folder, tmp_path):
    assert names_seflow(flow_folder) and names_seflow(str(flow_folder))
    assert not names_seflow(model_folder) and not names_seflow(tmp_path)
    assert not names_seflow(tmp_path / "absent.onnx")
    for text in ("{", "[]", "SEFlow", "[" * 100_000, "{}"):
        (flow_folder / "config.json").write_text(text)
        assert not names_seflow(flow_folder)
