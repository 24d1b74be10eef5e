"""Which experts a separator chose for a mixture, where and when."""

import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from sesame.features import match_levels

from .audio_files import new_file
from .resampling import resample
from .separator import Separator
from .speaker_activity import frame_conditions

__all__ = [
    "ExpertPlane",
    "MixtureRouting",
    "Usage",
    "expert_usage",
    "separation_routing",
    "write_usage",
]

# Edges between groups of bands [Hz].
BAND_EDGES = (500, 1000, 2000, 4000)


class ExpertPlane(NamedTuple):
    """First choices of a feed-forward of experts in the plane of bands and frames.

    Shape: expert_ids (G, T).

    Arguments
    ---------
    name : str
        Such as "block 0, time layer, first".
    expert_ids : np.ndarray
        The expert of each band and frame.
    per_frame : bool
        Whether choices are made frame by frame.
    per_band : bool
        Whether choices are made band by band; with one choice for each token, both.
    num_experts : int
        E.

    Example
    -------
    >>> plane = ExpertPlane("x", np.array([[0, 1, 1], [0, 1, 2]]), True, True, 3)
    >>> plane.by_frame(), plane.by_band()
    (array([0, 1, 1]), array([1, 0]))
    """

    name: str
    expert_ids: np.ndarray
    per_frame: bool
    per_band: bool
    num_experts: int

    def by_frame(self) -> np.ndarray:
        """The expert that most bands of each frame went to.

        Shape: -> (T,).

        Returns
        -------
        np.ndarray
            Of several such experts the first.
        """
        return _most_common(self.expert_ids, self.num_experts)

    def by_band(self) -> np.ndarray:
        """The expert that most frames of each band went to.

        Shape: -> (G,).

        Returns
        -------
        np.ndarray
            Of several such experts the first.
        """
        return _most_common(self.expert_ids.T, self.num_experts)


class MixtureRouting(NamedTuple):
    """What a separator made of a mixture, and how.

    Shape: mixture (L,), sources (J, L).

    Arguments
    ---------
    mixture : np.ndarray
        At the network's rate.
    sources : np.ndarray
        Separated speakers.
    sample_rate : int
        The network's, Hz.
    band_edges : np.ndarray
        Lowest and highest frequency of each of G bands (G, 2) [Hz].
    planes : list[ExpertPlane]
        One per feed-forward of experts, in the order of the network.

    Example
    -------
    >>> edges = np.array([[0, 4000]])
    >>> dense = MixtureRouting(np.zeros(9), np.zeros((2, 9)), 16000, edges, [])
    >>> len(dense.sources)
    2
    """

    mixture: np.ndarray
    sources: np.ndarray
    sample_rate: int
    band_edges: np.ndarray
    planes: list[ExpertPlane]


class Usage(NamedTuple):
    """How often each expert was chosen where a condition holds.

    Arguments
    ---------
    layer : str
        Name of an ``ExpertPlane``.
    condition : str
        Such as "voiced" or "0.5-1 kHz".
    count : int
        Tokens (bands times frames) where the condition holds.
    shares : np.ndarray
        Share of each expert (E,), with sum 1; NaN where the condition never holds.

    Example
    -------
    >>> Usage("x", "voiced", 4, np.array([0.25, 0.75])).shares.argmax()
    np.int64(1)
    """

    layer: str
    condition: str
    count: int
    shares: np.ndarray


def separation_routing(
    separator: Separator, waveform: np.ndarray, sample_rate: int
) -> MixtureRouting:
    """Separates a mixture in one piece and reads the routing.

    Shape: waveform (L,).

    Arguments
    ---------
    separator : Separator
        Holds the network.
    waveform : np.ndarray
        Mixture.
    sample_rate : int
        Its rate, Hz.

    Returns
    -------
    MixtureRouting
        Without planes for a network without experts.

    Raises
    ------
    ValueError
        If the waveform is not (L,).

    Example
    -------
    >>> from sesame.models.tf_moe import TFMoE
    >>> network = TFMoE(channels=4, num_blocks=1, num_bands=8, num_experts=3)
    >>> mixture = np.random.default_rng(0).standard_normal(1000)
    >>> routing = separation_routing(Separator(network, 16000, "cpu"), mixture, 16000)
    >>> routing.planes[2].name, routing.planes[2].expert_ids.shape
    ('block 0, frequency layer, first', (8, 8))
    """
    if waveform.ndim != 1:
        raise ValueError(f"waveform {waveform.shape} must be (L,)")
    rate, network = separator.sample_rate, separator.network
    mixture = resample(waveform.astype(np.float32)[None], sample_rate, rate)
    with torch.inference_mode():
        given = torch.from_numpy(mixture.copy()).to(separator.device)
        sources = match_levels(network(given), given)[0].cpu().numpy()
    stft = network.stft
    num_frames = mixture.shape[-1] // stft.hop_length + 1
    planes = [
        _plane(name, module, len(network.bands), num_frames)
        for name, module in network.named_modules()
        if getattr(module, "routing", None) is not None
    ]
    # From half a bin below the first one to half a bin above the last one.
    edges = (np.array(network.bands) - 0.5) * rate / stft.n_fft
    return MixtureRouting(mixture[0], sources, rate, edges.clip(0, rate / 2), planes)


def expert_usage(routing: MixtureRouting) -> list[Usage]:
    """Usage of the experts of each layer by band, by voicing and by who speaks.

    A layer is listed under the conditions that its choices can follow: bands where it
    chooses band by band, the others where it chooses frame by frame.

    Arguments
    ---------
    routing : MixtureRouting
        What ``separation_routing`` returned.

    Returns
    -------
    list[Usage]
        Layer by layer.

    Example
    -------
    >>> plane = ExpertPlane("x", np.array([[0, 0, 0], [1, 1, 1]]), False, True, 2)
    >>> edges = np.array([[0, 700], [700, 4000]])
    >>> mixture = np.zeros(800)
    >>> routing = MixtureRouting(mixture, mixture[None], 8000, edges, [plane])
    >>> [(u.condition, u.count, u.shares.tolist()) for u in expert_usage(routing)][:2]
    [('all', 6, [0.5, 0.5]), ('0-0.5 kHz', 3, [1.0, 0.0])]
    """
    if not routing.planes:
        return []
    num_frames = routing.planes[0].expert_ids.shape[1]
    frames = frame_conditions(routing.sources, routing.sample_rate, num_frames)
    bands = _band_conditions(routing.band_edges, routing.sample_rate)
    table = []
    for plane in routing.planes:
        masks = {"all": np.ones((1, 1), dtype=bool)}
        if plane.per_band:
            masks |= {name: mask[:, None] for name, mask in bands.items()}
        if plane.per_frame:
            masks |= {name: mask[None] for name, mask in frames.items()}
        table += [_usage(plane, name, mask) for name, mask in masks.items()]
    return table


def write_usage(table: Sequence[Usage], path: str | Path) -> None:
    """Writes usage of experts to a CSV file, whole or not at all.

    Arguments
    ---------
    table : Sequence[Usage]
        What ``expert_usage`` returned.
    path : str | Path
        File to make or replace.

    Example
    -------
    >>> path = getfixture("tmp_path") / "usage.csv"
    >>> write_usage([Usage("x", "voiced", 4, np.array([0.25, 0.75]))], path)
    >>> path.read_text().splitlines()
    ['layer,condition,tokens,expert 0,expert 1', 'x,voiced,4,0.25,0.75']
    """
    num_experts = max((len(usage.shares) for usage in table), default=0)
    experts = [f"expert {number}" for number in range(num_experts)]
    with (
        new_file(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["layer", "condition", "tokens", *experts])
        for usage in table:
            shares = [f"{share:.6g}" for share in usage.shares]
            writer.writerow([*usage[:3], *shares])


def _plane(path: str, layer, num_bands: int, num_frames: int) -> ExpertPlane:
    """First choices of a layer, each where it holds."""
    words = path.split(".")
    axis = "time" if "time_layer" in words else "frequency"
    # Sequences are bands in a time layer, frames in a frequency layer.
    sequences, steps = num_bands, num_frames
    if axis == "frequency":
        sequences, steps = steps, sequences
    shape = {"seq": (sequences, 1), "batch": (1, steps), "token": (sequences, steps)}
    ids = layer.routing.expert_ids[:, 0].cpu().numpy().reshape(shape[layer.route])
    ids = ids if axis == "time" else ids.T
    per_step, per_sequence = layer.route != "seq", layer.route != "batch"
    per_frame, per_band = per_step, per_sequence
    if axis == "frequency":
        per_frame, per_band = per_band, per_frame
    half = "second" if "second_feed_forward" in words else "first"
    return ExpertPlane(
        f"block {words[1]}, {axis} layer, {half}",
        np.broadcast_to(ids, (num_bands, num_frames)),
        per_frame,
        per_band,
        layer.router.num_experts,
    )


def _most_common(ids: np.ndarray, num_experts: int) -> np.ndarray:
    counts = (ids == np.arange(num_experts)[:, None, None]).sum(axis=1)
    return counts.argmax(axis=0)


def _usage(plane: ExpertPlane, condition: str, mask: np.ndarray) -> Usage:
    chosen = plane.expert_ids[np.broadcast_to(mask, plane.expert_ids.shape)]
    counts = np.bincount(chosen, minlength=plane.num_experts)
    shares = counts / chosen.size if chosen.size else np.full(len(counts), np.nan)
    return Usage(plane.name, condition, chosen.size, shares)


def _band_conditions(edges: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    """Masks (G,) of the bands whose centre lies in a range of frequencies."""
    centres = edges.mean(axis=1)
    inner = [edge for edge in BAND_EDGES if edge < sample_rate / 2]
    limits = [0, *inner, sample_rate / 2]
    return {
        f"{low / 1000:g}-{high / 1000:g} kHz": (centres >= low) & (centres < high)
        for low, high in pairwise(limits)
    }
