"""MACs of the separators: the published numbers, and what the operators multiply."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from sesame.models.bsrnn import BSRNN
from sesame.models.tf_moe import TFConformer, TFMoE

# From torch where an option of oneDNN is set, of which it then tells all.
pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
GIBI = 2**30
SMALL = {"n_fft": 128, "hop_length": 32, "channels": 4, "num_blocks": 2}
CONFORMER = SMALL | {"num_bands": 9, "num_heads": 2, "head_channels": 6}


@pytest.fixture(scope="module")
def load():
    """Reads a module of benchmarks/, which is no package."""

    def load(name):
        sys.path.insert(0, str(BENCHMARKS))
        try:
            path = BENCHMARKS / f"{name}.py"
            spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(BENCHMARKS))
        return module

    return load


@pytest.fixture(scope="module")
def macs(load):
    return load("thop_macs")


def test_the_dense_network_costs_what_the_paper_prints(macs):
    network = TFConformer()
    thop = macs.thop_macs(network)
    assert thop == 4_425_837_696
    assert round(thop / GIBI, 3) == 4.122
    assert round(macs.product_macs(network) / 1e9, 3) == 5.858


def test_experts_cost_nothing_but_their_router(macs):
    network, dense = TFMoE(), TFConformer()
    assert round(macs.thop_macs(network) / GIBI, 3) == 4.123
    # One choice per band over time and one per frame over the bands, 12 layers each.
    router = 12 * 12 * 32 * (80 + 9)
    assert macs.product_macs(network, 9) - macs.product_macs(dense, 9) == router


def test_a_choice_for_every_token_costs_more_than_the_paper_prints(macs):
    network = TFMoE(route="token")
    assert round(macs.thop_macs(network) / GIBI, 3) == 4.208


def test_the_recurrent_baseline_costs_what_the_paper_prints(macs):
    thop = macs.thop_macs(BSRNN())
    assert round(thop / 1e9, 3) == 4.530
    assert round(thop / GIBI, 3) == 4.219


@pytest.mark.parametrize(
    "network",
    [
        lambda: TFConformer(**CONFORMER),
        lambda: TFMoE(**CONFORMER, num_experts=3),
        lambda: TFMoE(**CONFORMER, num_experts=3, top_k=2, route="batch"),
        lambda: TFMoE(**CONFORMER, num_experts=3, route="token", time_layer="rnn"),
        lambda: BSRNN(**SMALL, num_sources=3),
    ],
    ids=["dense", "seq", "batch", "token-rnn", "bsrnn"],
)
@pytest.mark.parametrize("frames", [1, 20])
def test_all_products_are_those_of_the_operators(macs, load, network, frames):
    network = network().eval()
    waveform = torch.randn(1, 32 * frames - 1)
    operators = load("complexity").multiply_accumulates(network, waveform)
    assert macs.product_macs(network, frames) == sum(operators.values())


def test_the_kinds_are_those_of_each_convention(macs):
    network = TFConformer(**CONFORMER)
    kinds = macs.count_macs(network, frames=20)
    assert tuple(kinds) == macs.KINDS
    tokens, layers, width = 20 * 9, 2, 12
    assert kinds["attention"] == layers * tokens * 2 * width * (20 + 9)
    # Five layer norms of the channels and a batch norm of twice as many.
    assert kinds["elements"] == 4 * 2 * layers * tokens * (5 * 4 + 8)
    assert kinds["gates"] == 0
    assert macs.thop_macs(network, 20) == kinds["products"] + kinds["elements"]


def test_gates_are_counted_by_what_shares_a_choice(macs):
    def gates(**arguments):
        network = TFMoE(**CONFORMER, num_experts=3, **arguments)
        kinds = macs.count_macs(network, frames=20)
        assert macs.thop_macs(network, 20) == sum(kinds.values()) - kinds["attention"]
        return kinds["gates"]

    frames, bands, routers, descriptor = 20, 9, 2 * 2, 3 * 4
    pooled = routers * (frames + bands) * descriptor
    assert gates() == gates(route="batch") == pooled
    assert gates(route="token") == 2 * routers * frames * bands * descriptor
    assert gates(frequency_layer="conformer") == routers * bands * descriptor


def test_every_network_has_the_parameters_that_the_paper_prints(load):
    networks = load("separation_networks")
    for name, published in {**networks.NETWORKS, **networks.ABLATION}.items():
        count = sum(p.numel() for p in published.make().parameters())
        # The printed rows with a recurrent layer contradict each other.
        if "rnn" not in name:
            assert f"{count / 1e6:.1f}" == published.parameters, name


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_network_as_it_was(macs, training):
    network = TFMoE(**CONFORMER, num_experts=3).train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    macs.count_macs(network, frames=9)
    assert network.training is training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(module._forward_hooks for module in network.modules())
