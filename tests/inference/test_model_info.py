import hashlib

import pytest

from sesame.inference import save_model_folder
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
