"""Which experts a network chose, where in time and frequency."""

from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from sesame.features import enhance_waveform

from .enhancer import Enhancer
from .resampling import resample

__all__ = ["ExpertMap", "expert_maps"]


class ExpertMap(NamedTuple):
    """Experts that one mixture-of-experts layer chose for one signal.

    Shape: expert_ids (K, F', T), best first, with F' bands of the network from 0 Hz to
    half of ``sample_rate``, the network's own [Hz]; load (E,), each expert's share of
    all K * F' * T choices, with sum 1.

    Example
    -------
    >>> ids = np.array([[[0, 1, 1]]])
    >>> load = np.array([1 / 3, 2 / 3, 0.0])
    >>> ExpertMap("block 0, time layer", ids, load, 16000).share_per_frame()
    array([[1., 0., 0.],
           [0., 1., 1.],
           [0., 0., 0.]])
    """

    name: str
    expert_ids: np.ndarray
    load: np.ndarray
    sample_rate: int

    def share_per_frame(self) -> np.ndarray:
        """Share of each expert in the choices of each frame.

        Shape: -> (E, T), columns with sum 1.

        Returns
        -------
        np.ndarray
            float64.
        """
        experts = np.arange(len(self.load))[:, None, None, None]
        return (self.expert_ids == experts).mean(axis=(1, 2))


def expert_maps(
    enhancer: Enhancer, waveform: np.ndarray, sample_rate: int
) -> list[ExpertMap]:
    """Runs the network over a signal and reads its routing.

    Shape: waveform (L,).

    Arguments
    ---------
    enhancer : Enhancer
        Holds the network.
    waveform : np.ndarray
        Noisy signal.
    sample_rate : int
        Its rate, Hz.

    Returns
    -------
    list[ExpertMap]
        One per mixture-of-experts layer, in the order of the network; none for a
        network without such layers.

    Raises
    ------
    ValueError
        If the waveform is not (L,).

    Example
    -------
    >>> from sesame.features import CompressedSTFT
    >>> from sesame.models import SESAME
    >>> network = SESAME(num_bins=9, channels=4, num_blocks=2, num_heads=2,
    ...     moe_blocks=[1])
    >>> transform = CompressedSTFT(n_fft=16, hop_length=4, win_length=16)
    >>> noisy = np.random.default_rng(0).standard_normal(400)
    >>> maps = expert_maps(Enhancer(network, transform, 16000, "cpu"), noisy, 16000)
    >>> [(m.name, m.expert_ids.shape) for m in maps]
    [('block 1, time layer', (2, 5, 101)), ('block 1, frequency layer', (2, 5, 101))]
    """
    if waveform.ndim != 1:
        raise ValueError(f"waveform {waveform.shape} must be (L,)")
    signal = waveform.astype(np.float32)[None]
    signal = resample(signal, sample_rate, enhancer.sample_rate)
    num_frames = []

    def network(magnitude: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
        num_frames.append(magnitude.shape[-1])
        return enhancer.network(magnitude, phase)

    with torch.inference_mode():
        noisy = torch.from_numpy(signal.copy()).to(enhancer.device)
        enhance_waveform(network, enhancer.transform, noisy)
    return [
        _expert_map(name, module.routing, num_frames[0], enhancer.sample_rate)
        for name, module in enhancer.network.named_modules()
        if getattr(module, "routing", None) is not None
    ]


def _expert_map(path: str, routing, num_frames: int, sample_rate: int) -> ExpertMap:
    words = path.split(".")
    axis = "time" if "time_layer" in words else "frequency"
    block = f"block {words[1]}, " if words[0] == "blocks" else ""
    # Time layers fold the bands into the batch, frequency layers the frames.
    order = "(f t) k -> k f t" if axis == "time" else "(t f) k -> k f t"
    ids = rearrange(routing.expert_ids.cpu().numpy(), order, t=num_frames)
    load = routing.load.double().cpu().numpy()
    return ExpertMap(f"{block}{axis} layer", ids, load / load.sum(), sample_rate)
