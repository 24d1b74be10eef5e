"""The benchmark scripts run, report every row, and compare equal networks."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from sesame.models import MPSENet, TFConformer, TFMoE
from sesame.nnet import SelfAttention, moe_layers
from sesame.nnet.selective_scan import selective_scan

ROOT = Path(__file__).resolve().parent.parent
# From torch where an option of oneDNN is set, of which it then tells all.
pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")


@pytest.mark.parametrize("attention_only", [False, True])
def test_the_reference_equals_the_network(benchmarks, attention_only):
    network = MPSENet(**benchmarks.sizes).double().eval()
    reference_network = benchmarks.load("reference").reference_network
    reference = reference_network(network, attention_only).eval()
    magnitude, phase = torch.rand(2, 2, 33, 20, dtype=torch.float64)
    with torch.no_grad():
        expected = network(magnitude, phase)
        got = reference(magnitude, phase)
    for ours, theirs in zip(expected, got, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-9)


def test_the_reference_materialises_weights_and_leaves_the_original_alone(benchmarks):
    network = MPSENet(**benchmarks.sizes)
    reference = benchmarks.load("reference").reference_network(network)
    kinds = [type(module) for module in reference.modules()]
    assert kinds.count(nn.MultiheadAttention) == 4
    assert SelfAttention not in kinds
    assert sum(isinstance(m, SelfAttention) for m in network.modules()) == 4


def test_cases_are_measured_in_turn_and_without_the_warm_up(benchmarks):
    calls = []
    cases = {name: lambda name=name: calls.append(name) for name in "ab"}
    samples = benchmarks.load("measure").interleave(cases, repeats=2, warmup=1)
    assert calls == ["a", "b"] * 3
    assert [len(case.seconds) for case in samples.values()] == [2, 2]


def test_peak_memory_counts_what_is_held_at_once(benchmarks):
    measure = benchmarks.load("measure")

    def one_after_the_other():
        for _ in range(3):
            torch.ones(1000)

    def at_once():
        return [torch.ones(1000) for _ in range(3)]

    assert measure.peak_memory(one_after_the_other) == pytest.approx(4000, rel=0.1)
    assert measure.peak_memory(at_once) == pytest.approx(12000, rel=0.1)


def test_a_result_is_never_overwritten(benchmarks, tmp_path, capsys):
    emit = benchmarks.load("report").emit
    emit("first", str(tmp_path / "results" / "a.md"))
    with pytest.raises(FileExistsError):
        emit("second", str(tmp_path / "results" / "a.md"))
    assert (tmp_path / "results" / "a.md").read_text() == "first\n"
    assert capsys.readouterr().out == "first\nsecond\n"


def test_speed_reports_every_case(benchmarks, tmp_path):
    output = tmp_path / "speed.md"
    cases = ("dense", "memory", "moe")
    text = benchmarks.run("speed.py", "--cases", *cases, "--output", output)
    assert output.read_text() == text
    names = benchmarks.row_names(text)
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


def test_speed_reports_systems_on_a_clip_and_on_sets_and_forms_of_the_scan(
    benchmarks, minibank
):
    options = [
        "--systems",
        "mambattention",
        "sesame_mini",
        "--cases",
        "systems",
        "scan",
    ]
    options += ["--set", f"mini={minibank / 'noisy_testset_wav'}"]
    text = benchmarks.run("speed.py", *options)
    names = benchmarks.row_names(text)
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


def test_speed_of_separators_reports_every_number_of_experts(benchmarks, tmp_path):
    output = tmp_path / "speed.md"
    text = benchmarks.run("separation_speed.py", "--output", output)
    assert output.read_text() == text
    inference, training = text.split("## Training step")
    networks = ["TF-Conformer", *(f"TF-MoE, E = {count}" for count in (3, 6, 12, 24))]
    for part in (inference, training):
        rows = [row for row in benchmarks.table_rows(part) if row[0] in networks]
        # Times, then ratios to the dense network.
        assert [row[0] for row in rows] == networks * 2
        assert rows[5][1:3] == ["1.000", "1.000"]
    published = [row[3] for row in benchmarks.table_rows(inference)[-5:]]
    assert published == ["1", "", "", "1.04", "1.09"]


def test_separators_are_measured_with_even_shares_of_the_experts(benchmarks):
    script = benchmarks.load("separation_speed")
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


def test_a_measured_step_has_gradients_and_leaves_the_weights_alone(benchmarks):
    script = benchmarks.load("separation_speed")
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


def test_a_mixture_is_learned_by_heart_dense_and_sparse(benchmarks):
    talkers = sorted((ROOT / "data/minibank/clean_testset_wav").glob("*_001.flac"))[:2]
    script = benchmarks.load("overfit")
    mixture, sources = script.two_talkers(talkers, seconds=0.5)
    torch.testing.assert_close(sources.sum(1), mixture)
    for network in (TFConformer, partial(TFMoE, num_experts=3)):
        torch.manual_seed(0)
        built = network(**script.QUICK)
        assert script.overfit(built, mixture, sources, 150, 1e-2) > 10


def test_learning_by_heart_is_reported(benchmarks):
    talkers = sorted((ROOT / "data/minibank/clean_testset_wav").glob("*_001.flac"))[:2]
    text = benchmarks.run("overfit.py", "--seconds", 1, "--speech", *talkers)
    rows = benchmarks.table_rows(text)
    assert [row[:2] for row in rows[-2:]] == [["TFConformer", "-"], ["TFMoE", "3"]]


def test_speed_of_streams_reports_time_and_memory(benchmarks, tmp_path):
    pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")
    output = tmp_path / "speed.md"
    text = benchmarks.run("streaming_speed.py", "--output", output)
    assert output.read_text() == text
    times, memory = text.split("## Memory of a stream")
    sizes = ("0.125 wide, 4 deep", "0.5 wide, 3 deep")
    names = [f"{size}, {kind}" for size in sizes for kind in ("torch", "onnxruntime")]
    for part in (times, memory):
        rows = benchmarks.table_rows(part)
        assert [row[0] for row in rows if row[0] in names] == names
    for row in benchmarks.table_rows(times)[-4:]:
        assert 0 < float(row[2]) <= float(row[3]) <= float(row[4]) <= float(row[5])
    # Keys and values, past of the filters, samples, counts: the same in both.
    keys, filters = 4 * 2 * 10 * 2 * 27, 4 * 2 * 4 * 27
    frames = 3 * 161 * 2
    expected = f"{keys + filters + frames + 2 * 160 + 3 * 2:,}"
    assert [row[2] for row in benchmarks.table_rows(memory)[-4:-2]] == [expected] * 2


@pytest.mark.parametrize("part", [None, 2])
def test_the_loop_in_place_is_the_scan(benchmarks, part):
    loop = benchmarks.load("scan_speed").in_place_loop
    u, delta = torch.randn(3, 7, 5), torch.rand(3, 7, 5)
    B, C = torch.randn(2, 3, 7, 4)
    arguments = u, delta, -torch.rand(5, 4), B, C, torch.randn(5)
    expected = selective_scan(*arguments, form="reference")
    torch.testing.assert_close(loop(*arguments, part), expected, rtol=1e-5, atol=1e-6)


def test_steps_are_timed_with_and_without_kept_memory(benchmarks):
    text = benchmarks.run("allocator.py")
    (row,) = (r for r in benchmarks.table_rows(text) if r[0] == "64x3")
    usual, kept, ratio = map(float, row[1:])
    assert usual > 0 and ratio == pytest.approx(kept / usual, rel=0.2)


@pytest.mark.slow
def test_speed_reports_the_wait_for_pesq(benchmarks):
    names = benchmarks.row_names(benchmarks.run("speed.py", "--cases", "pesq"))
    assert {"pesq_lag 0", "pesq_lag 1"} <= set(names)
