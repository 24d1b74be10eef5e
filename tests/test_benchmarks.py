"""The benchmark scripts run, report every row, and compare equal networks."""

import importlib.util
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from sesame.models import SESAME, MPSENet, TFConformer, TFMoE
from sesame.nnet import Mamba, SelfAttention, moe_layers
from sesame.nnet.selective_scan import selective_scan

ROOT = Path(__file__).resolve().parent.parent
# From torch where an option of oneDNN is set, of which it then tells all.
pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
# Of the files in hparams/, those whose network maps waveforms to waveforms.
SEPARATORS = {
    path.stem
    for path in ROOT.glob("hparams/*.yaml")
    if "sesame.brain.SeparationBrain" in path.read_text(encoding="utf-8")
}
SIZES = {"num_bins": 33, "channels": 8, "num_blocks": 2, "num_heads": 2}


def load(name):
    """A module of benchmarks/, which is no package."""
    path = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def run(script, *arguments):
    """Standard output of a script with --quick."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, f"benchmarks/{script}", *map(str, arguments), "--quick"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def row_names(text):
    """First cells of all tables."""
    return re.findall(r"^\| (.+?) +\|", text, flags=re.MULTILINE)


def table_rows(text):
    """Cells of all lines of all tables."""
    lines = re.findall(r"^\| (.+) \|$", text, flags=re.MULTILINE)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


@pytest.mark.parametrize("attention_only", [False, True])
def test_the_reference_equals_the_network(attention_only):
    network = MPSENet(**SIZES).double().eval()
    reference = load("reference").reference_network(network, attention_only).eval()
    magnitude, phase = torch.rand(2, 2, 33, 20, dtype=torch.float64)
    with torch.no_grad():
        expected = network(magnitude, phase)
        got = reference(magnitude, phase)
    for ours, theirs in zip(expected, got, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-9)


def test_the_reference_materialises_weights_and_leaves_the_original_alone():
    network = MPSENet(**SIZES)
    reference = load("reference").reference_network(network)
    kinds = [type(module) for module in reference.modules()]
    assert kinds.count(nn.MultiheadAttention) == 4
    assert SelfAttention not in kinds
    assert sum(isinstance(m, SelfAttention) for m in network.modules()) == 4


def test_cases_are_measured_in_turn_and_without_the_warm_up():
    calls = []
    cases = {name: lambda name=name: calls.append(name) for name in "ab"}
    samples = load("measure").interleave(cases, repeats=2, warmup=1)
    assert calls == ["a", "b"] * 3
    assert [len(case.seconds) for case in samples.values()] == [2, 2]


def test_peak_memory_counts_what_is_held_at_once():
    measure = load("measure")

    def one_after_the_other():
        for _ in range(3):
            torch.ones(1000)

    def at_once():
        return [torch.ones(1000) for _ in range(3)]

    assert measure.peak_memory(one_after_the_other) == pytest.approx(4000, rel=0.1)
    assert measure.peak_memory(at_once) == pytest.approx(12000, rel=0.1)


def test_a_result_is_never_overwritten(tmp_path, capsys):
    emit = load("report").emit
    emit("first", str(tmp_path / "results" / "a.md"))
    with pytest.raises(FileExistsError):
        emit("second", str(tmp_path / "results" / "a.md"))
    assert (tmp_path / "results" / "a.md").read_text() == "first\n"
    assert capsys.readouterr().out == "first\nsecond\n"


def test_speed_reports_every_case(tmp_path):
    output = tmp_path / "speed.md"
    text = run("speed.py", "--cases", "dense", "memory", "moe", "--output", output)
    assert output.read_text() == text
    names = row_names(text)
    for name in (
        "reference, float32 / ours, float32",
        "reference, float32 / ours, bfloat16 autocast",
        "attention",
        "time half of a block, reference",
        "sparse, all blocks / dense",
    ):
        assert name in names
    assert re.search(r"- command: `python benchmarks/speed.py --cases", text)
    growth = {
        line.split("|")[1].strip(): float(line.split("|")[5])
        for line in text.splitlines()
        if line.startswith(("| attention", "| time half"))
    }
    assert growth["attention"] < 4.4 < growth["attention, reference"]


def test_speed_reports_systems_on_a_clip_and_on_sets_and_forms_of_the_scan(minibank):
    options = [
        "--systems",
        "mambattention",
        "sesame_mini",
        "--cases",
        "systems",
        "scan",
    ]
    options += ["--set", f"mini={minibank / 'noisy_testset_wav'}"]
    text = run("speed.py", *options)
    names = row_names(text)
    # Inference, training step, set; all of them beside the yardstick.
    for name in ("mp_senet", "mambattention", "sesame_mini"):
        assert names.count(name) == 3
    assert "### inference of the set mini: 2 files, 0.2 s" in text
    for name, tables in (("loop in place, 16 at a time", 1), ("sequential", 2)):
        assert names.count(name) == tables
    ratios = [
        line.split("|")[6].strip() for line in text.splitlines() if "| mp_s" in line
    ]
    assert ratios[:2] == ["1.00", "1.00"]


def test_speed_of_separators_reports_every_number_of_experts(tmp_path):
    output = tmp_path / "speed.md"
    text = run("separation_speed.py", "--output", output)
    assert output.read_text() == text
    inference, training = text.split("## Training step")
    networks = ["TF-Conformer", *(f"TF-MoE, E = {count}" for count in (3, 6, 12, 24))]
    for part in (inference, training):
        rows = [row for row in table_rows(part) if row[0] in networks]
        # Times, then ratios to the dense network.
        assert [row[0] for row in rows] == networks * 2
        assert rows[5][1:3] == ["1.000", "1.000"]
    published = [row[3] for row in table_rows(inference)[-5:]]
    assert published == ["1", "", "", "1.04", "1.09"]


def test_separators_are_measured_with_even_shares_of_the_experts():
    script = load_script("separation_speed")
    sizes = {"n_fft": 128, "hop_length": 32, "num_bands": 12, "num_blocks": 2}
    mixture = torch.randn(1, 1600)
    network = TFMoE(**sizes, num_experts=4).eval()

    def busiest():
        with torch.no_grad():
            network(mixture)
        loads = [layer.routing.load for layer in moe_layers(network).values()]
        return sum(float(load.max() / load.mean()) for load in loads) / len(loads)

    before = busiest()
    measured = script.balance(network, mixture)
    assert measured == pytest.approx(busiest()) and measured < 1.2 < before
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert script.balance(TFConformer(**sizes), mixture) == 1


def test_a_measured_step_has_gradients_and_leaves_the_weights_alone():
    script = load_script("separation_speed")
    network = TFMoE(**script.TINY, num_experts=3)
    before = [parameter.clone() for parameter in network.parameters()]
    gradients = {}
    for name, parameter in network.named_parameters():
        parameter.register_hook(
            lambda gradient, name=name: gradients.update({name: gradient.abs().sum()})
        )
    script.training_step(network, torch.randn(2, 2, 1600))()
    assert set(gradients) == dict(network.named_parameters()).keys()
    assert all(gradients[name] > 0 for name in gradients if "token_projection" in name)
    for parameter, old in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter, old)


def test_a_mixture_is_learned_by_heart_dense_and_sparse():
    talkers = sorted((ROOT / "data/minibank/clean_testset_wav").glob("*_001.flac"))[:2]
    script = load_script("overfit")
    mixture, sources = script.two_talkers(talkers, seconds=0.5)
    torch.testing.assert_close(sources.sum(1), mixture)
    for network in (TFConformer, partial(TFMoE, num_experts=3)):
        torch.manual_seed(0)
        built = network(**script.QUICK)
        assert script.overfit(built, mixture, sources, 150, 1e-2) > 10


def test_learning_by_heart_is_reported():
    talkers = sorted((ROOT / "data/minibank/clean_testset_wav").glob("*_001.flac"))[:2]
    rows = table_rows(run("overfit.py", "--seconds", 1, "--speech", *talkers))
    assert [row[:2] for row in rows[-2:]] == [["TFConformer", "-"], ["TFMoE", "3"]]


def test_every_system_has_a_tiny_form():
    systems = load_script("systems")
    names = {path.stem for path in systems.HPARAMS}
    assert names | SEPARATORS == {path.stem for path in ROOT.glob("hparams/*.yaml")}
    for path in systems.HPARAMS:
        system = systems.load_system(path, tiny=True)
        assert system.name == path.stem
        assert sum(p.numel() for p in system.network.parameters()) < 400_000, path


@pytest.mark.parametrize("part", [None, 2])
def test_the_loop_in_place_is_the_scan(part):
    loop = load_script("scan_speed").in_place_loop
    u, delta = torch.randn(3, 7, 5), torch.rand(3, 7, 5)
    B, C = torch.randn(2, 3, 7, 4)
    arguments = u, delta, -torch.rand(5, 4), B, C, torch.randn(5)
    expected = selective_scan(*arguments, form="reference")
    torch.testing.assert_close(loop(*arguments, part), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_speed_reports_the_wait_for_pesq():
    names = row_names(run("speed.py", "--cases", "pesq"))
    assert {"pesq_lag 0", "pesq_lag 1"} <= set(names)


@pytest.mark.slow
def test_complexity_has_a_row_for_every_yaml_file():
    names = row_names(run("complexity.py"))
    files = {path.stem for path in ROOT.glob("hparams/*.yaml")}
    assert files - SEPARATORS <= set(names)


@pytest.mark.slow
def test_complexity_has_the_tables_of_the_separators(tmp_path):
    output = tmp_path / "complexity.md"
    text = run("complexity.py", "--separators", "--output", output)
    assert output.read_text() == text
    cells = {row[0]: row[1:] for row in table_rows(text)}
    for name, parameters, paper, active in (
        ("BSRNN", "2,427,692", "2.4 M", "2,427,692"),
        ("TF-Conformer", "2,349,004", "2.3 M", "2,349,004"),
        ("TF-MoE, E = 12", "4,563,148", "4.6 M", "2,358,220"),
        ("TF-MoE, E = 24", "6,977,740", "7.0 M", "2,367,436"),
        ("conformer, moe", "2,852,428", "2.9 M", "2,351,308"),
    ):
        assert cells[name][:3] == [parameters, paper, active]
    assert cells["E = 24, batch"] == cells["E = 24, seq"]
    assert float(cells["E = 24, token"][2]) > float(cells["E = 24, seq"][2])


def test_complexity_counts_products_of_chosen_experts_only():
    complexity = load_script("complexity")
    sizes = {**SIZES, "moe_blocks": [0, 1], "noise_context_dim": 0}
    magnitude, phase = torch.rand(1, 33, 20), torch.rand(1, 33, 20)

    def products(**arguments):
        network = SESAME(**sizes, **arguments).eval()
        return complexity.multiply_accumulates(network, magnitude, phase)["products"]

    tokens, layers, width, channels = 20 * 17, 4, 32, 8
    one_expert = layers * tokens * width * channels
    assert products(num_experts=4, top_k=2) - products(num_experts=4, top_k=1) == (
        one_expert
    )


@pytest.mark.parametrize(("kind", "gates"), [(nn.GRU, 3), (nn.LSTM, 4)])
def test_complexity_counts_the_products_of_recurrent_layers(kind, gates):
    layer = kind(6, 8, batch_first=True, bidirectional=True).eval()
    macs = load_script("complexity").multiply_accumulates(layer, torch.rand(3, 5, 6))
    assert macs["products"] == 2 * 3 * 5 * gates * 8 * (6 + 8)
    assert macs.total() == macs["products"]


def test_complexity_counts_a_scan_by_its_states_whatever_its_form_multiplies():
    mixer = Mamba(channels=4, expand=3, state_size=5, dt_rank=2).eval()
    complexity = load_script("complexity")
    macs = complexity.multiply_accumulates(nn.Sequential(mixer), torch.rand(2, 9, 4))
    tokens, inner, states = 2 * 9, 3 * 4, 5
    assert macs["scan"] == 4 * tokens * inner * states
    assert macs["attention"] == 0
    projections = 4 * 2 * inner + inner * (2 + 2 * states) + 2 * inner + inner * 4
    assert macs["products"] == tokens * projections
    assert not mixer._forward_hooks and not mixer._forward_pre_hooks


def test_quality_scores_the_files_of_a_training_run(minibank, tmp_path):
    enhanced = tmp_path / "enhanced_wavs"
    enhanced.mkdir()
    soundfile = pytest.importorskip("soundfile")
    clean = sorted((minibank / "clean_testset_wav").iterdir())[0]
    waveform, rate = soundfile.read(clean)
    soundfile.write(enhanced / f"{clean.stem}.wav", waveform, rate)
    names = row_names(run("quality.py", tmp_path, minibank))
    assert {"pesq", "si_sdr", "csig (loizou, int16 scale)"} <= set(names)
    assert "csig (cmgan, float scale)" in names
    assert "CMGAN" in names


def load_script(name):
    """A script that imports its neighbours."""
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        return load(name)
    finally:
        sys.path.remove(folder)
