import hashlib

import pytest

from sesame.inference import save_model_folder
from sesame.inference.flow_export import export_subnet
from sesame.inference.model_info import model_info
from sesame.models import SESAME, MPSENet


def facts_of(folder, tiny, system=SESAME, **changed):
    arguments = tiny.arguments | changed
    if system is MPSENet:
        names = ("num_bins", "channels", "num_blocks", "num_heads", "dense_depth")
        arguments = {name: tiny.arguments[name] for name in names}
    weights = system(**arguments).state_dict()
    transform = tiny.transform_arguments
    save_model_folder(folder, system.__name__, arguments, transform, 16000, weights)
    return model_info(folder)


def expert_size(network):
    layers = [m for m in network.modules() if hasattr(m, "router")]
    return sum(p.numel() for layer in layers for p in layer.experts.parameters())


def test_of_the_experts_those_that_are_chosen_are_active(tmp_path, tiny):
    idle = {}
    for top_k in (1, 2, 3):
        facts = facts_of(tmp_path, tiny, top_k=top_k)
        idle[top_k] = facts["parameters"] - facts["active parameters"]
    per_expert = expert_size(tiny.network) // 3
    assert idle == {1: 2 * per_expert, 2: per_expert, 3: 0}


def test_without_experts_all_parameters_are_active(tmp_path, tiny):
    facts = facts_of(tmp_path, tiny, MPSENet)
    assert facts["active parameters"] == facts["parameters"]
    assert facts["mixture-of-experts layers"] == 0
    assert facts["system"] == "MPSENet"


def test_every_system_is_told_by_name_and_size(system):
    facts = model_info(system.folder)
    parameters = sum(p.numel() for p in system.network.parameters())
    assert facts["system"] == type(system.network).__name__
    assert facts["parameters"] == parameters
    idle = expert_size(system.network) // 3
    assert facts["active parameters"] == parameters - idle
    assert facts["mixture-of-experts layers"] == (2 if idle else 0)


def test_the_hash_is_that_of_the_weights(model_folder):
    facts = model_info(model_folder)
    content = (model_folder / "model.safetensors").read_bytes()
    assert facts["weights sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["weights [bytes]"] == len(content)


def test_times_are_those_of_the_transform(model_folder):
    facts = model_info(model_folder)
    assert facts["window [ms]"] == pytest.approx(64 / 16)
    assert facts["hop [ms]"] == pytest.approx(16 / 16)


def test_the_title_is_the_first_heading_of_the_card(model_folder):
    card = model_folder / "README.md"
    card.write_text("<!-- front -->\n\n# A title\n\n## Not it\n")
    assert model_info(model_folder)["title"] == "A title"
    card.unlink()
    assert model_info(model_folder)["title"] == "no model card"


def test_a_model_that_cannot_be_loaded_has_no_facts(model_folder):
    (model_folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        model_info(model_folder)


def test_a_seflow_is_told_with_all_of_its_sizes(flow_network, flow_folder):
    facts = model_info(flow_folder)
    count = sum(parameter.numel() for parameter in flow_network.parameters())
    assert facts["parameters"] == count and facts["causal"] is True
    assert "active parameters" not in facts and "cut out of" not in facts
    assert len(facts["sizes"]) == 12
    for size in facts["sizes"]:
        width, depth = size["width"], size["depth"]
        part = flow_network.subnet(width, depth)
        count = sum(parameter.numel() for parameter in part.parameters())
        assert size["parameters"] == count
        for rate in (8000, 16000, 48000):
            macs = flow_network.macs_per_second(rate, width, depth)
            assert size[f"GMAC/s at {rate} Hz"] == pytest.approx(macs / 1e9, abs=1e-4)
    largest = facts["sizes"][-1]
    assert facts["GMAC/s at 16000 Hz"] == largest["GMAC/s at 16000 Hz"]


def test_a_sub_network_tells_what_it_was_cut_out_of(flow_folder, tmp_path):
    export_subnet(flow_folder, tmp_path / "small", width=0.5, depth=2)
    facts = model_info(tmp_path / "small")
    digest = model_info(flow_folder)["weights sha256"]
    assert facts["cut out of"] == {"sha256": digest, "width": 0.5, "depth": 2}
    assert [(size["width"], size["depth"]) for size in facts["sizes"]] == [
        (0.5, 2),
        (1.0, 2),
    ]
    assert facts["sizes"][-1]["parameters"] == facts["parameters"]
