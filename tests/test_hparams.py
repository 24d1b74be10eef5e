"""The YAML files: complete, without dead keys, consistent with each other."""

import ast
import inspect
import math
import re
from pathlib import Path

import pytest
import torch
import yaml
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.run_opts import RunOptions

from sesame.brain import EnhancementBrain, SeparationBrain, SlimmableBrain
from sesame.data import degraded_batch
from sesame.data.degradations import TRAINING_TASKS

ROOT = Path(__file__).resolve().parent.parent
FILES = {path.stem: path for path in sorted((ROOT / "hparams").glob("*.yaml"))}
every_file = pytest.mark.parametrize("name", FILES)

SIZES = {"n_fft", "hop_length", "segment_length", "batch_size", "learning_rate"}
SIZES |= {"lr_schedule", "ema_decay", "number_of_epochs", "ckpt_interval_minutes"}
SIZES |= {"num_workers", "pesq_workers", "data_folder", "output_folder"}
SIZES |= {f"generator.{name}" for name in ("channels", "num_blocks", "dense_depth")}
SIZES |= {f"generator.{name}" for name in ("moe_blocks", "num_experts")}
SIZES |= {"generator.noise_context_dim", "prepare_data.resampled_folder"}
PHASES = ("instantaneous_phase", "group_delay", "angular_frequency")
SMALL = SIZES | {"train_set", "valid_set", "test_set", "crop", "valid_speakers"}
SMALL |= {"test_folder", "prepare_data"} | {f"loss_weights.{name}" for name in PHASES}
OTHER_SYSTEM = {"output_folder", "generator"}
DENSE = {"expert_bias_speed", "loss_weights.load_balance", "loss_weights.router_z"}
DENSE_SEPARATION = {"loss_weights.balance"}
# What a file may have other than the base of its family: keys, and all that lies below.
ENHANCEMENT = {
    "lstm_attention": OTHER_SYSTEM | DENSE,
    "lstm_senet": OTHER_SYSTEM | DENSE,
    "mambattention": OTHER_SYSTEM | DENSE,
    "mambattention_demandex": OTHER_SYSTEM
    | DENSE
    | {"data_folder", "number_of_epochs", "prepare_data", "valid_speakers"}
    | {f"{split}_set.manifest_path" for split in ("train", "valid", "test")},
    "mambattention_moe": OTHER_SYSTEM,
    "mambattention_small": SMALL | OTHER_SYSTEM | DENSE,
    "mp_senet": OTHER_SYSTEM | DENSE,
    "mp_senet_small": SMALL | OTHER_SYSTEM | DENSE,
    "semamba": OTHER_SYSTEM | DENSE,
    "sesame_mini": SIZES | {"expert_bias_speed"},
    "sesame_small": SMALL,
    "transformer_mamba": OTHER_SYSTEM | DENSE,
    "transformer_mamba_moe": OTHER_SYSTEM,
    "transformer_mamba_small": SMALL | OTHER_SYSTEM | DENSE,
    "xlstm_attention": OTHER_SYSTEM | DENSE,
    "xlstm_senet": OTHER_SYSTEM | DENSE,
    "xlstm_senet2": OTHER_SYSTEM | DENSE,
}
SMALL_SEPARATION = SIZES | {"steps_per_epoch", "prepare_data", "crop"}
SMALL_SEPARATION |= {"train_set", "valid_set", "test_set", "generator_optimizer"}
SMALL_SEPARATION |= {
    f"generator.{name}"
    for name in ("hop_length", "num_bands", "num_heads", "head_channels", "kernel_size")
}
SEPARATION = {
    "bsrnn": OTHER_SYSTEM | DENSE_SEPARATION,
    "tf_conformer": OTHER_SYSTEM | DENSE_SEPARATION,
    "tf_conformer_small": SMALL_SEPARATION | OTHER_SYSTEM | DENSE_SEPARATION,
    "tf_moe_mini": SMALL_SEPARATION | {"valid_speakers", "generator.n_fft"},
    "tf_moe_small": SMALL_SEPARATION,
}
SMALL_FLOW = SIZES | {"steps_per_epoch", "sample_rates", "segment_seconds"}
SMALL_FLOW |= {"train_set", "valid_set", "test_set", "valid_sizes", "test_sizes"}
SMALL_FLOW |= {"num_random_widths", "num_random_exits", "stages"}
SMALL_FLOW |= {"snr_db", "suppression_weight", "loss_weights.mos"}
SMALL_FLOW |= {f"generator.{name}" for name in ("width", "depth", "head_channels")}
FLOW = {
    "seflow_mini": SMALL_FLOW | {"valid_speakers"},
    "seflow_small": SMALL_FLOW
    | {"generator_optimizer", "loss_weights.snr", "level_dbfs", "selection_metric"},
}
# The file that the others of its family are compared with -> their differences.
FAMILIES = {"sesame": ENHANCEMENT, "tf_moe": SEPARATION, "seflow": FLOW}
PAIRS = [(name, base) for base, others in FAMILIES.items() for name in others]
MOST_PARAMETERS = {name: 600_000 for name in ENHANCEMENT if name.endswith("_small")}
PARAMETERS = {
    "bsrnn": 2_427_692,
    "discriminator": 181_650,
    "lstm_attention": 2_483_537,
    "lstm_senet": 2_344_273,
    "mambattention": 2_325_841,
    "mambattention_demandex": 2_325_841,
    "mp_senet": 2_263_372,
    "seflow": 11_058_956 + 7 * 256,  # a norm for each exit
    "seflow_small": 2_182_460,
    "semamba": 2_258_769,
    "tf_conformer": 2_349_004,
    "tf_conformer_small": 1_411_880,
    "tf_moe": 4_563_148,
    "tf_moe_small": 1_915_304,
    "transformer_mamba": 5_954_385,
    "xlstm_attention": 2_270_673,
    "xlstm_senet": 2_203_601,
    "xlstm_senet2": 2_272_849,
}


def _load(name, tmp_path, **overrides):
    overrides = {
        "data_folder": str(ROOT / "data" / "minibank"),
        "output_folder": str(tmp_path),
    } | overrides
    with FILES[name].open(encoding="utf-8") as file:
        return load_hyperpyyaml(file, overrides)


def _brain(hparams):
    return hparams["brain"](
        modules=hparams["modules"],
        hparams=hparams,
        run_opts={"device": "cpu", "noprogressbar": True},
        checkpointer=hparams["checkpointer"],
    )


def _keys(name):
    root = yaml.compose(FILES[name].read_text(encoding="utf-8"))
    return [key.value for key, _ in root.value]


def _flat(node, prefix=""):
    """Dotted key -> tag and value, references unresolved."""
    if isinstance(node, yaml.MappingNode):
        flat = {prefix: node.tag}
        for key, value in node.value:
            flat |= _flat(value, f"{prefix}.{key.value}".lstrip("."))
        return flat
    if isinstance(node, yaml.SequenceNode):
        return {prefix: [list(_flat(item).values()) for item in node.value]}
    return {prefix: (node.tag, node.value)}


def _count(module):
    return sum(p.numel() for p in module.parameters())


# ----------------------------------------------------------------- they work


@every_file
def test_every_file_builds_a_brain_with_its_optimisers(name, tmp_path):
    hparams = _load(name, tmp_path)
    brain = _brain(hparams)
    brain.init_optimizers()
    assert brain.optimizers_dict.keys() == hparams["modules"].keys()
    for key, optimizer in brain.optimizers_dict.items():
        known = {p for group in optimizer.param_groups for p in group["params"]}
        assert known == set(hparams["modules"][key].parameters())


@every_file
def test_one_step_works_with_exactly_the_weights_of_the_file(name, tmp_path):
    """A weight without its term, or a term without its weight, is an error."""
    small = {"channels": 8, "num_blocks": 1}
    if name in ENHANCEMENT or name == "sesame":
        small = {"channels": 8, "dense_depth": 1}
    if name in FLOW or name == "seflow":
        small = {"width": 16, "depth": 2, "head_channels": 4, "context": 5}
    overrides = {"generator": small, "pesq_workers": 0}
    if name in FLOW or name == "seflow":
        overrides |= {"valid_sizes": [[1.0, 2]], "test_sizes": [[1.0, 2]], "stages": []}
    hparams = _load(name, tmp_path, **overrides)
    brain = _brain(hparams)
    brain.on_fit_start()
    brain.modules.train()
    brain.epoch = brain.step = 1
    noise = torch.randn(2, 8000)
    items = [{"id": "0", "noisy_sig": noise[0] + noise[1], "clean_sig": noise[0]}]
    items[0] |= {"mixture_sig": items[0]["noisy_sig"], "source_sigs": noise}
    items[0] |= {"degraded_sig": items[0]["noisy_sig"], "target_sig": noise[0]}
    items[0] |= {"far_end_sig": 0 * noise[0], "enrollment_sig": noise[1]}
    items[0] |= {"has_far_end": False, "has_enrollment": True, "sample_rate": 16000}
    slimmable = hparams["brain"] is SlimmableBrain
    batch = degraded_batch(items) if slimmable else PaddedBatch(items)
    assert math.isfinite(brain.fit_batch(batch))
    terms = set(brain.statistics.means()) - {"discriminator", "pesq"}
    assert terms == set(hparams["loss_weights"])
    assert brain.statistics.skipped_steps == 0


@every_file
def test_the_parts_of_a_network_are_not_shared_by_accident(name, tmp_path):
    for module in _load(name, tmp_path)["modules"].values():
        once = dict(module.named_parameters())
        twice = dict(module.named_parameters(remove_duplicate=False))
        assert once.keys() == twice.keys()
        buffers = dict(module.named_buffers(remove_duplicate=False))
        assert len({id(b) for b in buffers.values()}) == len(buffers)


@every_file
def test_networks_have_the_sizes_they_should(name, tmp_path):
    hparams = _load(name, tmp_path)
    if "discriminator" in hparams:
        assert _count(hparams["discriminator"]) == PARAMETERS["discriminator"]
    generator = _count(hparams["generator"])
    assert generator <= MOST_PARAMETERS.get(name, math.inf)
    assert generator == PARAMETERS.get(name, generator)


def test_mp_senet_and_sesame_differ_by_their_experts_only(tmp_path):
    dense = _load("mp_senet", tmp_path)["generator"].state_dict()
    sparse = _load("sesame", tmp_path, generator={"moe_blocks": []})["generator"]
    sizes = {name: tensor.shape for name, tensor in sparse.state_dict().items()}
    assert sizes == {name: tensor.shape for name, tensor in dense.items()}


@every_file
def test_the_rate_warms_up_from_nearly_nothing_and_falls(name, tmp_path):
    schedule = _load(name, tmp_path)["lr_schedule"]
    factors = [schedule(step) for step in range(12_000)]
    assert factors[0] < 0.1 and max(factors) == 1.0 and factors[-1] < 1.0


def test_the_tasks_of_seflow_are_those_of_the_data_set(tmp_path):
    train_set = _load("seflow", tmp_path)["train_set"]
    assert train_set.keywords["tasks"] == TRAINING_TASKS


# ----------------------------------------------------------------- no dead keys


@every_file
def test_every_key_is_used(name, tmp_path):
    text = FILES[name].read_text(encoding="utf-8")
    brain = _load(name, tmp_path)["brain"]
    used = set(re.findall(r'hparams\["(\w+)"\]', (ROOT / "train.py").read_text()))
    used |= set(RunOptions().as_dict()) | {"__set_seed"}
    used |= set(brain.HPARAMS_NEEDED)
    used |= {f"{module}_optimizer" for module in _load(name, tmp_path)["modules"]}
    for key in _keys(name):
        _, _, below = text.partition(f"\n{key}:")
        assert key in used or f"<{key}>" in below, f"{key} is not used"


@pytest.mark.parametrize("brain", [EnhancementBrain, SeparationBrain, SlimmableBrain])
def test_the_brain_reads_every_value_it_asks_for(brain):
    read = set()
    for owner in brain.__mro__:
        if owner.__module__.startswith("sesame."):
            tree = ast.parse(inspect.getsource(inspect.getmodule(owner)))
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute):
                    if ast.unparse(node.value) == "self.hparams":
                        read.add(node.attr)
    assert read == set(brain.HPARAMS_NEEDED)


@every_file
def test_keys_reach_the_yaml_file_from_the_command_line(name):
    """argparse takes an abbreviation of a run option for the option itself."""
    options = set(RunOptions().as_dict())
    for key in set(_keys(name)) - options:
        _, _, overrides = RunOptions.from_command_line_args(
            ["a.yaml", f"--{key}", "value"]
        )
        assert overrides == f"{key}: value"


@every_file
def test_folders_follow_the_output_folder(name, tmp_path):
    hparams = _load(name, tmp_path, output_folder=str(tmp_path / "elsewhere"))
    for key in ("save_folder", "enhanced_folder"):
        assert Path(hparams[key]).is_relative_to(tmp_path / "elsewhere")
    assert hparams["checkpointer"].checkpoints_dir == Path(hparams["save_folder"])
    text = FILES[name].read_text(encoding="utf-8")
    assert f"output_folder: !ref results/{name}/<seed>" in text


# ----------------------------------------------------------------- they agree


def test_every_file_is_compared_with_the_base_of_its_family():
    assert set(FILES) == {*FAMILIES, *(name for name, _ in PAIRS)}, (
        "add the file to its family in this test, with what it may have of its own"
    )


@pytest.mark.parametrize(("name", "base"), PAIRS)
def test_values_agree_with_those_of_the_base_unless_a_difference_is_meant(name, base):
    meant = FAMILIES[base][name]
    ours, theirs = (
        _flat(yaml.compose(FILES[key].read_text(encoding="utf-8")))
        for key in (name, base)
    )
    keys = ours.keys() | theirs.keys()
    different = {key for key in keys if ours.get(key) != theirs.get(key)}
    for key in different:
        parts = key.split(".")
        above = {".".join(parts[: i + 1]) for i in range(len(parts))}
        assert above & meant, f"{key}: {ours.get(key)}, {theirs.get(key)}"
