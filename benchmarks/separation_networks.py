"""The networks of the tables of the TF-MoE paper, and the figures that it prints.

Printed are parameters in millions, "GMACs/s" (see ``thop_macs.py``) and the real-time
factor as a multiple of that of the dense network.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from sesame.models import BSRNN, TFConformer, TFMoE
from sesame.models.separator import BandSplitSeparator

__all__ = ["ABLATION", "NETWORKS", "TINY", "Published"]


class Published(NamedTuple):
    """A network and what the paper prints about it; empty where nothing is known."""

    make: Callable[..., BandSplitSeparator]
    parameters: str
    macs: str
    time: str = ""


# Sizes for ``make``, of a network that shows that a script runs.
TINY = {
    "n_fft": 128,
    "hop_length": 32,
    "num_bands": 9,
    "channels": 4,
    "num_blocks": 1,
    "num_heads": 2,
    "head_channels": 6,
}


def _experts(num_experts: int, parameters: str, time: str = "") -> Published:
    return Published(partial(TFMoE, num_experts=num_experts), parameters, "4.1", time)


# Tables 1 and 3.
NETWORKS = {
    "BSRNN": Published(BSRNN, "2.4", "4.2"),
    "TF-Conformer": Published(TFConformer, "2.3", "4.1", "1"),
    "TF-MoE, E = 3": _experts(3, "2.8"),
    "TF-MoE, E = 6": _experts(6, "3.4"),
    "TF-MoE, E = 12": _experts(12, "4.6", "1.04"),
    "TF-MoE, E = 24": _experts(24, "7.0", "1.09"),
}


def _layers(time: str, frequency: str, parameters: str) -> Published:
    # The paper narrows the networks with a recurrent layer.
    channels = 30 if "rnn" in (time, frequency) else 32
    make = partial(
        TFMoE,
        num_experts=6,
        channels=channels,
        time_layer=time,
        frequency_layer=frequency,
    )
    return Published(make, parameters, "4.1")


# Table 2.
ABLATION = {
    f"{time}, {frequency}": _layers(time, frequency, parameters)
    for time, frequency, parameters in (
        ("rnn", "conformer", "2.1"),
        ("conformer", "rnn", "2.1"),
        ("conformer", "conformer", "2.3"),
        ("rnn", "moe", "2.8"),
        ("moe", "rnn", "2.8"),
        ("moe", "conformer", "2.9"),
        ("conformer", "moe", "2.9"),
        ("moe", "moe", "3.4"),
    )
}
