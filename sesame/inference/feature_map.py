"""Where a network puts the files of several sets: its last features, in a plane.

The features are those behind the last block, (C, T, F') of a signal. They are averaged
over frequency, which leaves a point of C numbers per frame, or over time and frequency,
which leaves one per file. t-SNE maps these points to a plane (scikit-learn's, which is
loaded when the first map is made).

Source: arXiv:2507.00966 (MambAttention) compares models by t-SNE plots of their
features on sets from inside and outside the training domain. What it averages over, and
its settings of t-SNE, are not known to us: compare figures made here with each other.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from einops import reduce
from torch import nn

from sesame.features import enhance_waveform

from .audio_files import read_audio
from .enhancer import Enhancer
from .resampling import resample

__all__ = ["UNITS", "MapPoint", "block_features", "embed", "feature_map", "last_block"]

UNITS = ("frame", "file")
# Frames of a file resemble each other, so that many files say more than many frames.
FRAMES_PER_FILE = 10
# What attention over a whole recording would take of memory has no bound.
MAX_SECONDS = 10


class MapPoint(NamedTuple):
    """One point of the plane, and where it comes from.

    Arguments
    ---------
    model : str
        Name of the model.
    dataset : str
        Name of the set.
    file : str
        Path below the folder of the set.
    frame : int | None
        Frame of the file, from 0; ``None`` for the mean over the file.
    x : float
        First coordinate; no unit.
    y : float
        Second coordinate; no unit.

    Example
    -------
    >>> MapPoint("sesame-small", "minibank", "p232_001.flac", 12, 0.5, -1.0).frame
    12
    """

    model: str
    dataset: str
    file: str
    frame: int | None
    x: float
    y: float


def feature_map(
    model: str,
    enhancer: Enhancer,
    sets: Mapping[str, Sequence[tuple[Path, str]]],
    points: int = 2000,
    unit: str = "frame",
    perplexity: float = 30.0,
    seed: int = 0,
) -> list[MapPoint]:
    """Runs a network over samples of several sets and maps its features to a plane.

    Every set gives the same number of points unless its files are too few or too short.
    Files, and frames of them, are drawn without replacement and in the same way for
    every model. Of each file the first 10 s count, of its channels the mean.

    Arguments
    ---------
    model : str
        Name that the points get.
    enhancer : Enhancer
        Holds the network.
    sets : Mapping[str, Sequence[tuple[Path, str]]]
        Files of each set, with the names that the points get, as ``find_audio`` gives.
    points : int
        Most points of all sets together.
    unit : str
        What a point is: "frame" or "file".
    perplexity : float
        Of t-SNE: about how many neighbours of a point it tries to keep.
    seed : int
        Of the choice of files and frames, and of t-SNE.

    Returns
    -------
    list[MapPoint]
        In the order of sets, names and frames.

    Raises
    ------
    ValueError
        If there is no set or an empty one, if a number is out of range, if the network
        has no blocks, or if a file cannot be read.
    ImportError
        If scikit-learn is not installed.

    Example
    -------
    >>> from sesame.features import CompressedSTFT
    >>> from sesame.models import MPSENet
    >>> network = MPSENet(num_bins=9, channels=4, num_blocks=1, num_heads=2)
    >>> transform = CompressedSTFT(n_fft=16, hop_length=4, win_length=16)
    >>> enhancer = Enhancer(network, transform, 16000, "cpu")
    >>> feature_map("mp", enhancer, {"a": []})
    Traceback (most recent call last):
    ValueError: set a must hold at least one file
    """
    if unit not in UNITS:
        raise ValueError(f"unit ({unit!r}) must be one of {UNITS}")
    if not sets:
        raise ValueError("there must be at least one set")
    for name, files in sets.items():
        if not files:
            raise ValueError(f"set {name} must hold at least one file")
    if points < len(sets):
        raise ValueError(
            f"points ({points}) must be at least one for each of {len(sets)} sets"
        )
    places, features = [], []
    for name, files in sets.items():
        files = sorted(files, key=lambda file: file[1])
        for file, frame, feature in _sample(
            enhancer, files, points // len(sets), unit, seed
        ):
            places.append((model, name, file, frame))
            features.append(feature)
    try:
        plane = embed(np.stack(features), perplexity, seed)
    except ValueError as error:
        raise ValueError(f"{model}: {error}") from error
    return [MapPoint(*place, *xy) for place, xy in zip(places, plane, strict=True)]


def block_features(enhancer: Enhancer, waveform: np.ndarray) -> np.ndarray:
    """Features behind the last block, averaged over frequency.

    Shape: waveform (L,) -> (T, C).

    Arguments
    ---------
    enhancer : Enhancer
        Holds the network.
    waveform : np.ndarray
        Noisy signal at the network's rate.

    Returns
    -------
    np.ndarray
        float64.

    Raises
    ------
    ValueError
        If the waveform is not (L,), the network has no blocks, or what comes out of
        them is not finite.

    Example
    -------
    >>> from sesame.features import CompressedSTFT
    >>> from sesame.models import MPSENet
    >>> network = MPSENet(num_bins=9, channels=4, num_blocks=1, num_heads=2)
    >>> transform = CompressedSTFT(n_fft=16, hop_length=4, win_length=16)
    >>> enhancer = Enhancer(network, transform, 16000, "cpu")
    >>> block_features(enhancer, np.ones(400)).shape
    (101, 4)
    """
    if waveform.ndim != 1:
        raise ValueError(f"waveform {waveform.shape} must be (L,)")
    kept = []
    hook = last_block(enhancer.network).register_forward_hook(
        lambda module, inputs, output: kept.append(output)
    )
    try:
        with torch.inference_mode():
            noisy = torch.from_numpy(waveform.astype(np.float32)[None])
            noisy = noisy.to(enhancer.device)
            enhance_waveform(enhancer.network, enhancer.transform, noisy)
    finally:
        hook.remove()
    features = reduce(kept[0].double(), "1 c t f -> t c", "mean").cpu().numpy()
    if not np.isfinite(features).all():
        raise ValueError("features behind the last block must be finite")
    return features


def last_block(network: nn.Module) -> nn.Module:
    """The last of a network's ``blocks``.

    Arguments
    ---------
    network : nn.Module
        Enhancement network.

    Returns
    -------
    nn.Module
        Gives features (B, C, T, F').

    Raises
    ------
    ValueError
        If there is none.

    Example
    -------
    >>> last_block(nn.Linear(2, 3))
    Traceback (most recent call last):
    ValueError: network (Linear) must have blocks, whose features are mapped
    """
    blocks = getattr(network, "blocks", None)
    if not isinstance(blocks, nn.ModuleList) or len(blocks) == 0:
        raise ValueError(
            f"network ({type(network).__name__}) must have blocks, whose features are "
            "mapped"
        )
    return blocks[-1]


def embed(features: np.ndarray, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Maps points to a plane by t-SNE, with Euclidean distances and a start by PCA.

    Shape: features (n, C) -> (n, 2).

    Arguments
    ---------
    features : np.ndarray
        Points, as they are: no scaling.
    perplexity : float
        About how many neighbours of a point it tries to keep.
    seed : int
        Of t-SNE.

    Returns
    -------
    np.ndarray
        Coordinates, which have no unit.

    Raises
    ------
    ValueError
        If the perplexity is not between 0 and n, or all points are the same.
    ImportError
        If scikit-learn is not installed.

    Example
    -------
    >>> features = np.random.default_rng(0).standard_normal((20, 4))
    >>> embed(features, perplexity=5).shape
    (20, 2)
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ImportError("t-SNE needs scikit-learn: pip install '.[plot]'") from error
    count = len(features)
    if not 0 < perplexity < count:
        raise ValueError(
            f"perplexity ({perplexity:g}) must be above 0 and below the number of "
            f"points ({count})"
        )
    if not np.ptp(features, axis=0).any():
        raise ValueError(f"the {count} points must not all be the same")
    method = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return method.fit_transform(features)


def _sample(
    enhancer: Enhancer,
    files: Sequence[tuple[Path, str]],
    points: int,
    unit: str,
    seed: int,
) -> Iterator[tuple[str, int | None, np.ndarray]]:
    """Draws files, and of each as many frames, as make the number of points."""
    generator = np.random.default_rng(seed)
    wanted = points if unit == "file" else math.ceil(points / FRAMES_PER_FILE)
    count = min(wanted, len(files))
    chosen = np.sort(generator.choice(len(files), count, replace=False))
    for position, index in enumerate(chosen):
        path, name = files[index]
        try:
            features = block_features(enhancer, _beginning(path, enhancer.sample_rate))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if unit == "file":
            yield name, None, features.mean(axis=0)
            continue
        share = points // count + (position < points % count)
        share = min(share, len(features))
        for frame in np.sort(generator.choice(len(features), share, replace=False)):
            yield name, int(frame), features[frame]


def _beginning(path: Path, sample_rate: int) -> np.ndarray:
    audio = read_audio(path)
    samples = audio.waveform[:, : MAX_SECONDS * audio.sample_rate]
    mono = samples.mean(axis=0, keepdims=True)
    return resample(mono, audio.sample_rate, sample_rate)[0]
