"""The benchmark scripts count and score every system and size."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sesame.inference import save_model_folder
from sesame.metrics import score_pair
from sesame.models import SESAME
from sesame.models.seflow import SEFlow
from sesame.nnet import Mamba

ROOT = Path(__file__).resolve().parent.parent
# From torch where an option of oneDNN is set, of which it then tells all.
pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
# Of the files in hparams/, those whose network maps waveforms to waveforms.
SEPARATORS = {
    path.stem
    for path in ROOT.glob("hparams/*.yaml")
    if re.search(r"sesame\.brain\.(Separation|Slimmable)Brain", path.read_text("utf-8"))
}


def test_every_system_has_a_tiny_form(benchmarks):
    systems = benchmarks.load("systems")
    names = {path.stem for path in systems.HPARAMS}
    assert names | SEPARATORS == {path.stem for path in ROOT.glob("hparams/*.yaml")}
    for path in systems.HPARAMS:
        system = systems.load_system(path, tiny=True)
        assert system.name == path.stem
        assert sum(p.numel() for p in system.network.parameters()) < 400_000, path


@pytest.mark.slow
def test_complexity_has_a_row_for_every_yaml_file(benchmarks):
    names = benchmarks.row_names(benchmarks.run("complexity.py"))
    files = {path.stem for path in ROOT.glob("hparams/*.yaml")}
    assert files - SEPARATORS <= set(names)


@pytest.mark.slow
def test_complexity_has_the_tables_of_the_separators(benchmarks, tmp_path):
    output = tmp_path / "complexity.md"
    text = benchmarks.run("complexity.py", "--separators", "--output", output)
    assert output.read_text() == text
    cells = {row[0]: row[1:] for row in benchmarks.table_rows(text)}
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


def test_complexity_counts_products_of_chosen_experts_only(benchmarks):
    complexity = benchmarks.load("complexity")
    sizes = {**benchmarks.sizes, "moe_blocks": [0, 1], "noise_context_dim": 0}
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
def test_complexity_counts_the_products_of_recurrent_layers(benchmarks, kind, gates):
    layer = kind(6, 8, batch_first=True, bidirectional=True).eval()
    complexity = benchmarks.load("complexity")
    macs = complexity.multiply_accumulates(layer, torch.rand(3, 5, 6))
    assert macs["products"] == 2 * 3 * 5 * gates * 8 * (6 + 8)
    assert macs.total() == macs["products"]


def test_complexity_counts_a_scan_by_its_states_whatever_its_form_multiplies(
    benchmarks,
):
    mixer = Mamba(channels=4, expand=3, state_size=5, dt_rank=2).eval()
    complexity = benchmarks.load("complexity")
    macs = complexity.multiply_accumulates(nn.Sequential(mixer), torch.rand(2, 9, 4))
    tokens, inner, states = 2 * 9, 3 * 4, 5
    assert macs["scan"] == 4 * tokens * inner * states
    assert macs["attention"] == 0
    projections = 4 * 2 * inner + inner * (2 + 2 * states) + 2 * inner + inner * 4
    assert macs["products"] == tokens * projections
    assert not mixer._forward_hooks and not mixer._forward_pre_hooks


def test_quality_scores_the_files_of_a_training_run(benchmarks, minibank, tmp_path):
    enhanced = tmp_path / "enhanced_wavs"
    enhanced.mkdir()
    soundfile = pytest.importorskip("soundfile")
    clean = sorted((minibank / "clean_testset_wav").iterdir())[0]
    waveform, rate = soundfile.read(clean)
    soundfile.write(enhanced / f"{clean.stem}.wav", waveform, rate)
    names = benchmarks.row_names(benchmarks.run("quality.py", tmp_path, minibank))
    assert {"pesq", "si_sdr", "csig (loizou, int16 scale)"} <= set(names)
    assert "csig (cmgan, float scale)" in names
    assert "CMGAN" in names


def test_the_operations_of_the_sizes_are_those_that_torch_counts(benchmarks):
    script = benchmarks.load("size_costs")
    [designed] = [size for size in script.SIZES if size.name == "1 %"]
    assert designed.parameters == 121_312
    # A network of this size, with random weights; two streams, to count both as one.
    network, batch = SEFlow(32, depth=4, early_exits=False), 2
    assert sum(p.numel() for p in network.parameters()) == designed.parameters
    for rate, aim in zip(script.RATES, designed.gmacs, strict=True):
        macs = {}
        for tokens in (0, network.num_tokens):
            voice = torch.randn(1, rate // 2) if tokens else None
            state = network.initial_state(batch, rate, enrollment=voice)
            counter = FlopCounterMode(display=False)
            # Kernels that the counter does not know are replaced by ones that it does.
            with pytest.MonkeyPatch.context() as patch, sdpa_kernel(SDPBackend.MATH):
                patch.setattr("sesame.nnet.slimmable.feed_forward._SMALL", 0)
                with counter:
                    network.step(torch.randn(batch, rate // 100), state)
            macs[tokens] = counter.get_total_flops() // 2 // batch * 100
            assert macs[tokens] == network.macs_per_second(rate, num_tokens=tokens)
        assert round(macs[0] / 1e9, 3) == aim
        if rate == 16_000:
            added = macs[network.num_tokens] - macs[0]
            assert round(added / 1e9, 3) == designed.enrollment


def test_complexity_has_the_sizes_as_they_were_designed(benchmarks, tmp_path):
    output = tmp_path / "sizes.md"
    text = benchmarks.run("complexity.py", "--sizes", "--output", output)
    assert output.read_text() == text
    costs, rest = text.split("## Enrollment")
    enrollment, memory = rest.split("## Memory of a stream")
    sizes = benchmarks.load("size_costs").SIZES
    assert len(sizes) == 12
    for part, columns in ((costs, 13), (enrollment, 8), (memory, 9)):
        rows = benchmarks.table_rows(part)[-len(sizes) :]
        assert [row[0] for row in rows] == [size.name for size in sizes]
        assert {len(row) for row in rows} == {columns}
    for row in benchmarks.table_rows(costs)[-len(sizes) :]:
        assert row[3] == row[4]
        assert row[6] == row[7] and row[8] == row[9] and row[10] == row[11]
    said = [row for row in benchmarks.table_rows(enrollment)[-len(sizes) :] if row[6]]
    assert len(said) == 3 and all(row[4] == row[6] for row in said)
    # Keys and values, past of the filters, samples, counts: of 27 bands at 16 kHz.
    smallest = benchmarks.table_rows(memory)[-1]
    state = 4 * (27 * (2 * 100 * 32 + 2 * 64) + 2 * 160) + 2 * 8
    assert smallest[4] == f"{state / 1e6:.2f}"
    assert smallest[7] == f"{(state + 4 * 27 * 2 * 32 * 32) / 1e6:.2f}"


def test_quality_scores_a_network_at_several_sizes(benchmarks, minibank, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    sizes = {"width": 8, "depth": 2, "head_channels": 4, "context": 5}
    torch.manual_seed(0)
    network = SEFlow(**sizes).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    folder = tmp_path / "flow"
    weights = network.state_dict()
    save_model_folder(folder, "SEFlow", sizes, None, None, weights)
    text = benchmarks.run("quality.py", folder, minibank, "--sizes", "1:2", "1/2:1")
    scores, _ = text.split("## Published")
    header, _, *rows = benchmarks.table_rows(scores)
    costs = ["parameters", "GMAC/s at 16000 Hz"]
    assert header == ["system", *costs, "pesq", "stoi", "estoi", "si_sdr", "ssnr"]
    names = ["noisy", "width 1, depth 2", "width 0.5, depth 1"]
    assert [row[0] for row in rows] == names and rows[0][1:3] == ["", ""]
    noisy, rate = soundfile.read(sorted((minibank / "noisy_testset_wav").iterdir())[0])
    clean, _ = soundfile.read(sorted((minibank / "clean_testset_wav").iterdir())[0])
    signal = torch.tensor(noisy, dtype=torch.float32)[None]
    for row, size in zip(rows[1:], ((1, 2), (0.5, 1)), strict=True):
        part = network.subnet(*size)
        assert row[1] == f"{sum(p.numel() for p in part.parameters()):,}"
        assert row[2] == f"{part.macs_per_second(rate) / 1e9:.3f}"
        with torch.no_grad():
            late = part(torch.nn.functional.pad(signal, (0, 160)), rate)
        expected = score_pair(late[0, 160:].numpy(), clean, rate, ["si_sdr", "stoi"])
        assert float(row[6]) == pytest.approx(expected["si_sdr"], abs=0.02)
        assert float(row[4]) == pytest.approx(expected["stoi"], abs=1e-3)
    assert rows[1][3:] != rows[2][3:] != rows[0][3:]
