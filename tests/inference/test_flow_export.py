import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import sesame
from sesame.inference.flow_export import check_subnet, export_subnet
from sesame.inference.model_folder import load_seflow_folder, save_model_folder
from sesame.inference.model_info import model_info
from sesame.models.seflow import SEFlow

ROOT = Path(sesame.__file__).parents[1]
FRESH = """\
import sys
from safetensors.torch import load_file, save_file
from sesame.inference.model_folder import load_seflow_folder

folder, inputs, outputs = sys.argv[1:]
network = load_seflow_folder(folder)
results = {}
for name, noisy in load_file(inputs).items():
    rate, prior = name.split()
    priors = {} if prior == "none" else {prior: noisy.flip(1)}
    results[name] = network(noisy, int(rate), **priors).detach()
save_file(results, outputs)
"""


@torch.no_grad()
def test_in_a_fresh_process_the_folder_gives_the_slice_to_the_last_bit(
    flow_network, flow_folder, tmp_path
):
    target = tmp_path / "small"
    assert export_subnet(flow_folder, target, width=0.5, depth=2).depth == 2
    inputs, expected = {}, {}
    for rate in (8000, 16000, 44100, 48000):
        for prior in ("none", "enrollment", "far_end"):
            noisy = 0.1 * torch.randn(1, rate // 5)
            inputs[f"{rate} {prior}"] = noisy
            priors = {} if prior == "none" else {prior: noisy.flip(1)}
            expected[f"{rate} {prior}"] = flow_network(noisy, rate, 0.5, 2, **priors)
    save_file(inputs, tmp_path / "in.safetensors")
    (tmp_path / "script.py").write_text(FRESH)
    subprocess.run(
        [sys.executable, "script.py", target, "in.safetensors", "out.safetensors"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    found = load_file(tmp_path / "out.safetensors")
    assert set(found) == set(expected)
    for name, output in expected.items():
        assert output.any() and torch.equal(found[name], output), name


def test_the_folder_holds_plain_weights_and_names_its_parent(flow_folder, tmp_path):
    size = export_subnet(flow_folder, tmp_path / "small", width=0.25, depth=1)
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    facts = model_info(flow_folder)
    assert config["parent"] == {
        "sha256": facts["weights sha256"],
        "width": 0.25,
        "depth": 1,
    }
    assert config["arguments"]["width"] == 4 and config["arguments"]["depth"] == 1
    assert not config["arguments"]["early_exits"] and config["sample_rate"] is None
    weights = load_file(tmp_path / "small" / "model.safetensors")
    assert sum(weight.numel() for weight in weights.values()) == size.num_parameters
    card = (tmp_path / "small" / "README.md").read_text()
    assert "width 1/4, depth\n1 of `flow`" in card
    assert facts["weights sha256"] in card


@torch.no_grad()
def test_flow_matching_goes_with_its_part(tmp_path):
    arguments = {"width": 8, "depth": 2, "head_channels": 4, "context": 5}
    arguments |= {"flow_matching": True, "num_steps": 3}
    network = SEFlow(**arguments).eval()
    for parameter in network.flow.parameters():
        parameter.normal_(0, 0.3)
    whole, part = tmp_path / "whole", tmp_path / "part"
    weights = network.state_dict()
    save_model_folder(whole, "SEFlow", arguments, None, None, weights)
    export_subnet(whole, part, width=0.5, depth=1)
    noisy = 0.1 * torch.randn(1, 1600)
    expected = network(noisy, 8000, 0.5, 1)
    loaded = load_seflow_folder(part)
    assert torch.equal(loaded(noisy, 8000), expected)
    one = network.macs_per_second(8000, 0.5, 1) / 3e9
    assert model_info(part)["GMAC/s at 8000 Hz"] == round(3 * one, 4)


def test_a_part_of_a_part_is_a_part(flow_network, flow_folder, tmp_path):
    export_subnet(flow_folder, tmp_path / "half", width=0.5, depth=2)
    export_subnet(tmp_path / "half", tmp_path / "quarter", width=0.5)
    noisy = torch.randn(1, 800)
    with torch.no_grad():
        found = load_seflow_folder(tmp_path / "quarter")(noisy, 8000)
        # The norm before the decoder is that of the exit after two blocks.
        assert torch.equal(found, flow_network(noisy, 8000, 0.25, 2))


def test_the_check_finds_nothing_where_nothing_is_and_one_changed_weight(
    flow_folder, tmp_path
):
    target = tmp_path / "small"
    export_subnet(flow_folder, target, width=0.75, depth=3)
    assert check_subnet(flow_folder, target) == {8000: 0, 16000: 0, 48000: 0}
    weights = load_file(target / "model.safetensors")
    weights["exits.3.weight"][0] += 1e-3
    save_file(weights, target / "model.safetensors")
    assert all(error > 0 for error in check_subnet(flow_folder, target).values())


def test_a_model_is_replaced_only_when_told(flow_folder, tmp_path):
    target = tmp_path / "small"
    export_subnet(flow_folder, target, depth=1)
    with pytest.raises(ValueError, match="small holds a model already"):
        export_subnet(flow_folder, target, depth=2)
    export_subnet(flow_folder, target, depth=2, overwrite=True)
    assert load_seflow_folder(target).depth == 2
    with pytest.raises(ValueError, match="is the model itself"):
        export_subnet(flow_folder, flow_folder, depth=1, overwrite=True)
    with pytest.raises(ValueError, match="is a file"):
        export_subnet(flow_folder, target / "config.json", overwrite=True)


@pytest.mark.parametrize(
    ("size", "reason"),
    [({"width": 0.3}, r"width \(0.3\)"), ({"depth": 9}, r"depth \(9\)")],
)
def test_a_size_that_there_is_not_leaves_no_folder(flow_folder, tmp_path, size, reason):
    with pytest.raises(ValueError, match=reason):
        export_subnet(flow_folder, tmp_path / "small", **size)
    assert not (tmp_path / "small").exists()


def test_another_model_has_no_sub_networks(model_folder, tmp_path):
    with pytest.raises(ValueError, match="SESAME enhances speech"):
        export_subnet(model_folder, tmp_path / "small")
