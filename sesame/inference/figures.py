"""Figures: spectrograms, and the experts a network chose for a signal.

Needs matplotlib, which is loaded when the first figure is drawn. Figures are drawn
without a window system and without matplotlib's global state.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sesame.features import STFT

from .audio_files import new_file
from .routing import ExpertMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "distinct_colours",
    "new_figure",
    "routing_figure",
    "save_figure",
    "showcase_figure",
    "spectrogram_figure",
    "spectrogram_levels",
]

# Okabe and Ito: colours that people with any colour vision tell apart.
COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#999999",
)
SPECTROGRAM_COLOURS = "magma"
WINDOW_SECONDS = 0.032
RANGE_DB = 80.0
WIDTH = 11.0  # inches
TITLE = {"loc": "left", "fontsize": 10, "fontweight": "bold"}


def spectrogram_figure(signals: Mapping[str, np.ndarray], sample_rate: int) -> "Figure":
    """Spectrograms under each other, on one scale of colours.

    Shape: signals (L,), of any lengths.

    Arguments
    ---------
    signals : Mapping[str, np.ndarray]
        Waveforms by title.
    sample_rate : int
        Hz.

    Returns
    -------
    Figure
        A matplotlib figure; see ``save_figure``.

    Raises
    ------
    ValueError
        If there is no signal or one is not (L,).
    ImportError
        If matplotlib is not installed.

    Example
    -------
    >>> noise = np.random.default_rng(0).standard_normal(8000)
    >>> figure = spectrogram_figure({"noisy": noise, "enhanced": noise / 2}, 16000)
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['noisy', 'enhanced']
    """
    figure, rows = _stack([1.0] * len(signals))
    _draw_spectrograms(rows, signals, sample_rate)
    rows[-1].set_xlabel("time [s]")
    return figure


def routing_figure(
    waveform: np.ndarray, sample_rate: int, maps: Sequence[ExpertMap]
) -> "Figure":
    """The noisy spectrogram, and under it the first choice of each layer's router.

    Shape: waveform (L,).

    Arguments
    ---------
    waveform : np.ndarray
        Noisy signal.
    sample_rate : int
        Its rate, Hz.
    maps : Sequence[ExpertMap]
        What ``expert_maps`` returned for it.

    Returns
    -------
    Figure
        A matplotlib figure; the legends give each expert's share of all choices.

    Raises
    ------
    ValueError
        If there is no map: the network has no mixture-of-experts layer.
    ImportError
        If matplotlib is not installed.

    Example
    -------
    >>> ids = np.random.default_rng(0).integers(0, 4, (2, 50, 40))
    >>> layer = ExpertMap("block 1, time layer", ids, np.full(4, 0.25), 16000)
    >>> figure = routing_figure(np.zeros(16000), 16000, [layer])
    >>> len(figure.axes)  # the spectrogram, one map
    2
    """
    if not maps:
        raise ValueError("the network has no mixture-of-experts layer to draw")
    figure, rows = _stack([1.0] * (1 + len(maps)))
    _draw_spectrograms(rows[:1], {"noisy": waveform}, sample_rate)
    seconds = len(waveform) / sample_rate
    for axes, layer in zip(rows[1:], maps, strict=True):
        num_experts = len(layer.load)
        colours = distinct_colours(num_experts)
        axes.imshow(
            layer.expert_ids[0],
            # Experts are names, not numbers: nothing lies between two of them.
            interpolation="nearest",
            cmap=_colour_map(colours),
            vmin=-0.5,
            vmax=num_experts - 0.5,
            origin="lower",
            aspect="auto",
            extent=(0.0, seconds, 0.0, layer.sample_rate / 2000),
        )
        axes.set_title(f"{layer.name}: first choice of {num_experts} experts", **TITLE)
        axes.set_ylabel("frequency [kHz]")
        _add_legend(axes, layer.load, colours)
    rows[-1].set_xlabel("time [s]")
    return figure


def showcase_figure(
    signals: Mapping[str, np.ndarray], sample_rate: int, maps: Sequence[ExpertMap]
) -> "Figure":
    """Spectrograms, and under them the experts each layer used over time.

    Shape: signals (L,), of one length.

    Arguments
    ---------
    signals : Mapping[str, np.ndarray]
        Waveforms by title, for example noisy, enhanced and clean.
    sample_rate : int
        Hz.
    maps : Sequence[ExpertMap]
        What ``expert_maps`` returned for the noisy signal; may be empty.

    Returns
    -------
    Figure
        A matplotlib figure.

    Raises
    ------
    ValueError
        If there is no signal or one is not (L,).
    ImportError
        If matplotlib is not installed.

    Example
    -------
    >>> figure = showcase_figure({"noisy": np.zeros(16000)}, 16000, [])
    >>> len(figure.axes)
    1
    """
    figure, rows = _stack([1.0] * len(signals) + [0.7] * len(maps))
    _draw_spectrograms(rows[: len(signals)], signals, sample_rate)
    seconds = max(map(len, signals.values())) / sample_rate
    for axes, layer in zip(rows[len(signals) :], maps, strict=True):
        shares = layer.share_per_frame()
        times = np.linspace(0.0, seconds, shares.shape[1])
        colours = distinct_colours(len(shares))
        axes.stackplot(times, 100 * shares, colors=colours, linewidth=0)
        axes.set(xlim=(0.0, seconds), ylim=(0, 100), yticks=(0, 50, 100))
        axes.set_title(f"{layer.name}: experts of each frame", **TITLE)
        axes.set_ylabel("share [%]")
        _add_legend(axes, layer.load, colours)
    rows[-1].set_xlabel("time [s]")
    return figure


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Writes a figure to a file, whole or not at all.

    Arguments
    ---------
    figure : Figure
        A matplotlib figure.
    path : str | Path
        File to make or replace; its suffix says the format, such as .png or .pdf.

    Raises
    ------
    ValueError
        If matplotlib does not know the suffix.

    Example
    -------
    >>> path = getfixture("tmp_path") / "silence.png"
    >>> save_figure(spectrogram_figure({"silence": np.zeros(8000)}, 16000), path)
    >>> path.stat().st_size > 0
    True
    """
    suffix = Path(path).suffix[1:].lower()
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise ValueError(f"suffix of {path} must be one of {', '.join(sorted(known))}")
    with new_file(path) as temporary:
        figure.savefig(temporary, format=suffix, dpi=130)


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure that needs neither a window system nor a global state.

    Arguments
    ---------
    width : float
        Inches.
    height : float
        Inches.

    Returns
    -------
    Figure
        A matplotlib figure with constrained layout.

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Example
    -------
    >>> new_figure(4, 3).axes
    []
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("figures need matplotlib: pip install '.[plot]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def distinct_colours(count: int) -> list[Any]:
    """Colours for names: up to eight that anyone tells apart, else shades of a scale.

    Arguments
    ---------
    count : int
        How many.

    Returns
    -------
    list[Any]
        Colours as matplotlib takes them.

    Example
    -------
    >>> distinct_colours(2)
    ['#0072B2', '#E69F00']
    """
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    from matplotlib import colormaps

    return [tuple(c) for c in colormaps["viridis"](np.linspace(0, 1, count))]


def _stack(heights: Sequence[float]) -> tuple["Figure", list["Axes"]]:
    """A figure with rows that share their time axis."""
    if not heights:
        raise ValueError("there must be at least one signal to draw")
    figure = new_figure(WIDTH, 0.6 + 2.0 * sum(heights))
    rows = figure.subplots(
        len(heights), squeeze=False, sharex=True, height_ratios=heights
    )
    return figure, [row[0] for row in rows]


def _draw_spectrograms(
    rows: Sequence["Axes"],
    signals: Mapping[str, np.ndarray],
    sample_rate: int,
) -> None:
    images = [
        spectrogram_levels(name, signal, sample_rate)
        for name, signal in signals.items()
    ]
    top = max(image.max() for image in images)
    for axes, name, image in zip(rows, signals, images, strict=True):
        shown = axes.imshow(
            image,
            cmap=SPECTROGRAM_COLOURS,
            vmin=top - RANGE_DB,
            vmax=top,
            origin="lower",
            aspect="auto",
            extent=(0.0, len(signals[name]) / sample_rate, 0.0, sample_rate / 2000),
        )
        axes.set_title(name, **TITLE)
        axes.set_ylabel("frequency [kHz]")
        # An inset, so that all rows keep one width beside bars and legends.
        bar = axes.inset_axes((1.01, 0.0, 0.012, 1.0))
        axes.figure.colorbar(shown, cax=bar, label="level [dB FS]")
    longest = max(map(len, signals.values())) / sample_rate
    rows[0].set_xlim(0.0, longest)


def spectrogram_levels(name: str, signal: np.ndarray, sample_rate: int) -> np.ndarray:
    """Power spectrogram on a decibel scale, on which a full-scale sine has 0.

    Shape: signal (L,) -> (F, T), from 0 Hz to half the rate.

    Arguments
    ---------
    name : str
        Of the signal, for messages.
    signal : np.ndarray
        Waveform.
    sample_rate : int
        Hz.

    Returns
    -------
    np.ndarray
        dB, at least -120 but for rounding.

    Raises
    ------
    ValueError
        If the signal is empty or not (L,).

    Example
    -------
    >>> levels = spectrogram_levels("silence", np.zeros(16000), 16000)
    >>> round(float(levels.max()), 3)
    -120.0
    """
    if signal.ndim != 1 or signal.size == 0:
        raise ValueError(f"signal {name!r} {signal.shape} must be (L,), not empty")
    window = 4 * max(1, round(WINDOW_SECONDS * sample_rate / 4))
    stft = STFT(window, window // 4, window)
    spectrum = stft(torch.from_numpy(signal.astype(np.float32))[None])[0]
    # A full-scale sine has 0 dB.
    power = (spectrum.abs() / (window / 4)).square().numpy()
    return 10 * np.log10(power + 1e-12)


def _colour_map(colours: Sequence[Any]) -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap(colours)


def _add_legend(axes: "Axes", load: np.ndarray, colours: Sequence[Any]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(facecolor=colour, label=f"{expert}: {100 * share:.0f} %")
        for expert, (colour, share) in enumerate(zip(colours, load, strict=True))
    ]
    axes.legend(
        handles=patches,
        title="expert: its load",
        title_fontsize=8,
        fontsize=8,
        loc="center left",
        bbox_to_anchor=(1.005, 0.5),
        ncols=1 + (len(patches) - 1) // 6,
        frameon=False,
        handlelength=1.0,
        handleheight=1.0,
        columnspacing=0.8,
    )
