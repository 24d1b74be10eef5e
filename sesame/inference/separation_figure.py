"""The experts of a separator beside the spectrogram of a mixture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import (
    RANGE_DB,
    SPECTROGRAM_COLOURS,
    TITLE,
    WIDTH,
    distinct_colours,
    new_figure,
    spectrogram_levels,
)
from .separation_routing import ExpertPlane, MixtureRouting
from .speaker_activity import frame_conditions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["mixture_figure"]

ROW = 0.16  # inches per layer
SPECTROGRAM = 3.2  # inches
BESIDE = 1.6  # inches that a title needs
NUM_TICKS = 7


def mixture_figure(routing: MixtureRouting) -> "Figure":
    """Spectrogram of a mixture, frame-wise experts under it, band-wise ones beside it.

    The vertical axis has the bands of the network, evenly spaced. Between spectrogram
    and experts stands who speaks, and whether with a voice. Each row or column of
    experts is a layer; the colours of two layers have nothing to do with each other.
    A layer that chooses for each token is shown by what most bands, or most frames,
    went to: under the spectrogram where it is a layer along time, else beside it.

    Source: the paper on TF-MoE, figure 2.

    Arguments
    ---------
    routing : MixtureRouting
        What ``separation_routing`` returned.

    Returns
    -------
    Figure
        A matplotlib figure; see ``figures.save_figure``.

    Raises
    ------
    ValueError
        If the network has no mixture-of-experts layer.
    ImportError
        If matplotlib is not installed.

    Example
    -------
    >>> plane = ExpertPlane("x", np.array([[0, 1, 1], [0, 1, 1]]), True, False, 2)
    >>> edges = np.array([[0, 700], [700, 4000]])
    >>> sources = np.random.default_rng(0).standard_normal((2, 800))
    >>> routing = MixtureRouting(sources.sum(0), sources, 8000, edges, [plane])
    >>> [axes.get_title(loc="left") for axes in mixture_figure(routing).axes]
    ['mixture', 'who speaks', 'experts by frame']
    """
    if not routing.planes:
        raise ValueError("the network has no mixture-of-experts layer to draw")
    below = [plane for plane in routing.planes if _is_below(plane)]
    beside = [plane for plane in routing.planes if not _is_below(plane)]
    num_speakers = len(routing.sources)
    heights = [SPECTROGRAM, ROW * (num_speakers + 1), ROW * max(1, len(below))]
    widths = [WIDTH, max(2 * ROW * len(beside), BESIDE)]
    figure = new_figure(sum(widths), 1.6 + sum(heights))
    grid = figure.add_gridspec(3, 2, height_ratios=heights, width_ratios=widths)
    main = figure.add_subplot(grid[0, 0])
    seconds = len(routing.mixture) / routing.sample_rate
    num_bands, num_frames = routing.planes[0].expert_ids.shape
    extent = (0.0, seconds, -0.5, num_bands - 0.5)
    _draw_mixture(main, routing, extent)
    speakers = figure.add_subplot(grid[1, 0], sharex=main)
    _draw_speakers(speakers, routing, num_frames, seconds)
    last = speakers
    num_experts = max(plane.num_experts for plane in routing.planes)
    colours = distinct_colours(num_experts)
    if below:
        last = figure.add_subplot(grid[2, 0], sharex=main)
        rows = np.stack([plane.by_frame() for plane in below])
        _draw_experts(last, rows, colours, (0.0, seconds, len(below) - 0.5, -0.5))
        last.set_yticks(range(len(below)), [p.name for p in below], fontsize=6)
        last.set_title("experts by frame", **TITLE)
    if beside:
        axes = figure.add_subplot(grid[0, 1])
        columns = np.stack([plane.by_band() for plane in beside], axis=1)
        place = (-0.5, len(beside) - 0.5, -0.5, num_bands - 0.5)
        _draw_experts(axes, columns, colours, place)
        names = [plane.name for plane in beside]
        axes.set_xticks(range(len(beside)), names, fontsize=6, rotation=90)
        for label in axes.get_xticklabels():
            # There is room below: the rows of the left column need not make it.
            label.set_in_layout(False)
        axes.set_yticks([])
        axes.set_title("experts by band", **TITLE)
    last.set_xlabel("time [s]")
    _add_legend(figure, colours)
    return figure


def _is_below(plane: ExpertPlane) -> bool:
    if plane.per_frame and plane.per_band:
        return "time layer" in plane.name
    return plane.per_frame


def _draw_mixture(axes: "Axes", routing: MixtureRouting, extent: Sequence[float]):
    rate, edges = routing.sample_rate, routing.band_edges
    levels = spectrogram_levels("mixture", routing.mixture, rate)
    centres = edges.mean(axis=1)
    bins = (centres / (rate / 2) * (len(levels) - 1)).round().astype(int)
    top = levels.max()
    axes.imshow(
        levels[bins],
        cmap=SPECTROGRAM_COLOURS,
        vmin=top - RANGE_DB,
        vmax=top,
        origin="lower",
        aspect="auto",
        extent=extent,
    )
    ticks = np.linspace(0, len(edges) - 1, min(NUM_TICKS, len(edges))).round()
    names = [f"{centres[int(tick)] / 1000:.2g}" for tick in ticks]
    axes.set_yticks(ticks, names)
    axes.set_ylabel("centre of band [kHz]")
    axes.set_title("mixture", **TITLE)


def _draw_speakers(
    axes: "Axes", routing: MixtureRouting, num_frames: int, seconds: float
):
    masks = frame_conditions(routing.sources, routing.sample_rate, num_frames)
    several = masks["several speakers"]
    names = [f"speaker {n + 1}" for n in range(len(routing.sources))]
    rows = [masks[f"{name} only"] for name in names]
    image = np.stack([*rows, masks["voiced"]]).astype(float)
    # Where several speak, none of them alone: half-tone in the rows of all.
    image[:-1, several] = 0.5
    axes.imshow(
        image,
        cmap="Greys",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        aspect="auto",
        extent=(0.0, seconds, len(image) - 0.5, -0.5),
    )
    axes.set_yticks(range(len(image)), [*names, "voiced"], fontsize=6)
    axes.set_title("who speaks", **TITLE)


def _draw_experts(
    axes: "Axes", ids: np.ndarray, colours: Sequence[Any], extent: Sequence[float]
):
    from matplotlib.colors import ListedColormap

    axes.imshow(
        ids,
        # Experts are names, not numbers: nothing lies between two of them.
        interpolation="nearest",
        cmap=ListedColormap(colours),
        vmin=-0.5,
        vmax=len(colours) - 0.5,
        origin="lower" if extent[3] > extent[2] else "upper",
        aspect="auto",
        extent=extent,
    )


def _add_legend(figure: "Figure", colours: Sequence[Any]):
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=c, label=str(e)) for e, c in enumerate(colours)]
    figure.legend(
        handles=patches,
        title="expert",
        loc="outside lower center",
        ncols=min(12, len(patches)),
        fontsize=7,
        title_fontsize=8,
        frameon=False,
        handlelength=1.0,
        handleheight=1.0,
    )
