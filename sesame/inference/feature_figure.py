"""Feature maps as CSV files, and the figure that is drawn from them."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .audio_files import new_file
from .feature_map import MapPoint
from .figures import TITLE, distinct_colours, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["feature_figure", "read_points", "write_points"]

COLUMNS = ("model", "set", "file", "frame", "x", "y")
PANEL = 4.2  # inches
MAX_COLUMNS = 3
# Names of files need not be UTF-8.
TEXT = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


def write_points(points: Sequence[MapPoint], path: str | Path) -> None:
    """Writes points to a CSV file, whole or not at all.

    Arguments
    ---------
    points : Sequence[MapPoint]
        Of any number of models and sets.
    path : str | Path
        File to make or replace.

    Example
    -------
    >>> path = getfixture("tmp_path") / "tsne.csv"
    >>> write_points([MapPoint("a", "test", "x.wav", 3, 1.5, -2.0)], path)
    >>> path.read_text().splitlines()
    ['model,set,file,frame,x,y', 'a,test,x.wav,3,1.5,-2']
    """
    with new_file(path) as temporary, open(temporary, "w", **TEXT) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for point in points:
            # Nothing is written for None.
            writer.writerow([*point[:4], f"{point.x:.6g}", f"{point.y:.6g}"])


def read_points(path: str | Path) -> list[MapPoint]:
    """Reads what ``write_points`` wrote.

    Arguments
    ---------
    path : str | Path
        CSV file.

    Returns
    -------
    list[MapPoint]
        In the order of the lines.

    Raises
    ------
    ValueError
        If the file has other columns, no points or a line that is not a point.

    Example
    -------
    >>> path = getfixture("tmp_path") / "tsne.csv"
    >>> write_points([MapPoint("a", "test", "x.wav", None, 1.5, -2.0)], path)
    >>> read_points(path)
    [MapPoint(model='a', dataset='test', file='x.wav', frame=None, x=1.5, y=-2.0)]
    """
    with open(path, **TEXT) as file:
        reader = csv.reader(file)
        try:
            rows = [(reader.line_num, row) for row in reader]
        except csv.Error as error:
            raise ValueError(f"{path} must be a CSV file: {error}") from error
    if not rows or tuple(rows[0][1]) != COLUMNS:
        raise ValueError(f"{path} must have the columns {', '.join(COLUMNS)}")
    if len(rows) == 1:
        raise ValueError(f"{path} must hold at least one point")
    return [_point(path, line, row) for line, row in rows[1:]]


def feature_figure(points: Sequence[MapPoint]) -> "Figure":
    """Draws a panel for each model, with a colour for each set.

    Axes have no ticks: the coordinates of t-SNE have no unit, and neither the distance
    nor the direction between groups that lie apart has a meaning.

    Arguments
    ---------
    points : Sequence[MapPoint]
        Of any number of models and sets, which keep their order.

    Returns
    -------
    Figure
        A matplotlib figure; see ``save_figure``.

    Raises
    ------
    ValueError
        If there is no point.
    ImportError
        If matplotlib is not installed.

    Example
    -------
    >>> points = [MapPoint(m, "test", "x.wav", 0, 0.0, 1.0) for m in ("a", "b")]
    >>> [axes.get_title(loc="left") for axes in feature_figure(points).axes]
    ['a', 'b']
    """
    if not points:
        raise ValueError("there must be at least one point to draw")
    models = list(dict.fromkeys(point.model for point in points))
    names = list(dict.fromkeys(point.dataset for point in points))
    colours = dict(zip(names, distinct_colours(len(names)), strict=True))
    columns = min(len(models), MAX_COLUMNS)
    rows = math.ceil(len(models) / columns)
    figure = new_figure(PANEL * columns, PANEL * rows + 0.6)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(models) :]:
        axes.remove()
    for axes, model in zip(panels, models, strict=False):
        own = [point for point in points if point.model == model]
        # Mixed, so that no set hides those before it.
        order = np.random.default_rng(0).permutation(len(own))
        axes.scatter(
            [own[i].x for i in order],
            [own[i].y for i in order],
            c=[colours[own[i].dataset] for i in order],
            s=10,
            alpha=0.7,
            linewidths=0,
        )
        axes.set_title(model, **(TITLE | {"fontsize": 13}))
        axes.set(xticks=[], yticks=[])
    handles = [
        panels[0].scatter([], [], color=colour, s=60, label=name)
        for name, colour in colours.items()
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(names), 2 + 2 * columns),
        fontsize=12,
        frameon=False,
        handletextpad=0.2,
    )
    return figure


def _point(path: str | Path, line: int, row: Sequence[str]) -> MapPoint:
    try:
        model, dataset, file, frame, x, y = row
        place = model, dataset, file, int(frame) if frame else None
        point = MapPoint(*place, float(x), float(y))
    except ValueError as error:
        raise ValueError(f"{path}, line {line}, is not a point: {error}") from error
    if not (math.isfinite(point.x) and math.isfinite(point.y)):
        raise ValueError(f"{path}, line {line}: coordinates must be finite")
    return point
