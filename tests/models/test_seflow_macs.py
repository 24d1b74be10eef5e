"""Costs: the published table, and what is really multiplied."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sesame.models.seflow import SEFlow
from sesame.models.seflow_macs import count_macs

# Channels, blocks: 10^9 operations per second at 8, 16 and 48 kHz.
TABLE = {
    (256, 8): (22.155, 30.000, 37.927),
    (192, 7): (11.088, 15.030, 19.029),
    (256, 4): (11.153, 15.109, 19.126),
    (128, 8): (5.802, 7.878, 9.995),
    (160, 5): (5.587, 7.581, 9.617),
    (128, 3): (2.203, 2.995, 3.815),
    (96, 6): (2.528, 3.440, 4.378),
    (64, 6): (1.190, 1.624, 2.076),
    (32, 8): (0.461, 0.634, 0.817),
    (32, 4): (0.233, 0.321, 0.417),
    (32, 3): (0.176, 0.243, 0.317),
    (32, 1): (0.062, 0.086, 0.116),
}


@pytest.mark.parametrize(("size", "costs"), TABLE.items(), ids=str)
def test_costs_are_those_of_the_table(size, costs):
    for rate, cost in zip((8000, 16000, 48000), costs, strict=True):
        assert round(count_macs(*size, rate) / 1e9, 3) == cost


def test_enrollment_adds_what_the_table_says():
    added = count_macs(256, 8, 16000, num_tokens=32) - count_macs(256, 8, 16000)
    assert round(added / 1e9, 3) == 0.354


def test_the_formula_is_what_a_hop_multiplies():
    network, batch = SEFlow(32, depth=4), 10
    state = network.initial_state(batch, 16000)
    hop = torch.randn(batch, 160)
    # Kernels that the counter does not know are replaced by ones that it does.
    counter = FlopCounterMode(display=False)
    with pytest.MonkeyPatch.context() as patch, sdpa_kernel(SDPBackend.MATH), counter:
        patch.setattr("sesame.nnet.slimmable.feed_forward._SMALL", 0)
        network.step(hop, state)
    macs = counter.get_total_flops() / 2 / batch * 100
    assert macs == count_macs(32, 4, 16000) == network.macs_per_second(16000)
    assert macs == 320_998_400
