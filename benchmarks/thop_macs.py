"""Multiply-accumulates of a separator, in the two conventions of the field.

The number that papers on separation print is mostly that of the tool thop 0.1.1. It
knows layers, not operators: linear layers, convolutions and recurrent layers by their
weights, 4 for each element of a layer or batch normalisation, nothing for the products
of attention, for group normalisation and for activations; and some tables divide by
2^30 and print "G". ``product_macs`` counts all products instead, and no norm: what
``torch.utils.flop_counter`` counts in a forward.
"""

from collections import Counter

import torch
from torch import nn

from sesame.models.separator import BandSplitSeparator
from sesame.nnet.band_split import BandMaskDecoder, BandSplit
from sesame.nnet.moe import SwishExperts, TopKRouter
from sesame.nnet.rotary import RotarySelfAttention

__all__ = ["KINDS", "count_macs", "product_macs", "thop_macs"]

# Both conventions count the products of inputs and weights and those of the routers;
# the third kind belongs to ``product_macs`` alone, the fourth to ``thop_macs``.
KINDS = ("products", "gates", "attention", "elements")
_PER_NORMALISED_ELEMENT = 4


def thop_macs(network: BandSplitSeparator, frames: int = 126) -> int:
    """MACs as thop counts them; divide by 2^30 to compare with the TF-MoE paper.

    Experts, which thop does not know, count with the products of the chosen and of
    their router.

    Arguments
    ---------
    network : BandSplitSeparator
        Network to count.
    frames : int
        T, frames of the spectrum: 126 for a second at 16 kHz and a hop of 128 samples.

    Returns
    -------
    int
        MACs of one mixture.
    """
    macs = count_macs(network, frames)
    return macs["products"] + macs["gates"] + macs["elements"]


def product_macs(network: BandSplitSeparator, frames: int = 125) -> int:
    """MACs of all products, those of attention among them.

    Arguments
    ---------
    network : BandSplitSeparator
        Network to count.
    frames : int
        T, frames of the spectrum: 125 hops of 128 samples are a second at 16 kHz.

    Returns
    -------
    int
        MACs of one mixture, without the Fourier transforms.
    """
    macs = count_macs(network, frames)
    return macs["products"] + macs["gates"] + macs["attention"]


def count_macs(network: BandSplitSeparator, frames: int) -> Counter:
    """MACs by kind, by formula for each layer of one forward.

    Arguments
    ---------
    network : BandSplitSeparator
        Network to count; runs once, without gradients, in evaluation.
    frames : int
        T, frames of the spectrum.

    Returns
    -------
    Counter
        "products" of inputs and weights; "gates", those of the routers; "attention",
        products of tokens with tokens; "elements", what thop counts for norms and
        inside recurrent layers.
    """
    macs = Counter(dict.fromkeys(KINDS, 0))

    def add(module, inputs, output):
        macs.update(_layer_macs(module, inputs, output))

    hooks = [module.register_forward_hook(add) for module in network.modules()]
    training = network.training
    try:
        network.eval()
        weight = next(network.parameters())
        spectrum = torch.ones(1, network.stft.num_bins, frames, device=weight.device)
        with torch.no_grad():
            network.estimate(spectrum.to(weight.dtype.to_complex()))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return macs


def _layer_macs(module, inputs, output) -> dict[str, int]:
    x = inputs[0]
    if isinstance(module, nn.Linear | nn.Conv1d):
        return {"products": output.numel() * module.weight[0].numel()}
    if isinstance(module, nn.LayerNorm | nn.BatchNorm1d):
        return {"elements": _PER_NORMALISED_ELEMENT * output.numel()}
    if isinstance(module, nn.LSTM):
        return _lstm_macs(module, x.shape[0] * x.shape[1])
    if isinstance(module, RotarySelfAttention):
        sequences, steps, _ = x.shape
        width = module.out_projection.in_features
        return {"attention": 2 * sequences * steps**2 * width}
    if isinstance(module, TopKRouter):
        return {"gates": output.logits.numel() * x.shape[-1]}
    if isinstance(module, SwishExperts):
        expert_ids = inputs[1]
        assignments = expert_ids.numel() * x.shape[1]
        return {"products": assignments * _matrices(module) // module.num_experts}
    if isinstance(module, BandSplit):
        return {"products": output.shape[0] * output.shape[2] * _matrices(module)}
    if isinstance(module, BandMaskDecoder):
        return {"products": x.shape[0] * x.shape[2] * _matrices(module)}
    return {}


def _matrices(module) -> int:
    """Entries of the stacked matrices: those of each expert or band."""
    return sum(p.numel() for p in module.parameters() if p.ndim == 3)


def _lstm_macs(module, steps) -> dict[str, int]:
    matrices = [p for name, p in module.named_parameters() if "weight" in name]
    directions = 2 if module.bidirectional else 1
    # A bias for the input and one for the state of each of the four gates and their
    # sum; three operations for the new state and one for the output.
    elements = (4 * 3 + 3 + 1) * module.hidden_size * directions * module.num_layers
    return {
        "products": steps * sum(matrix.numel() for matrix in matrices),
        "elements": steps * elements,
    }
