"""The components that the tabs of the page share: inputs, players and pictures.

Functions take the module ``gradio``, which is loaded when a page is built.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from .answers import ONE_LINE

if TYPE_CHECKING:
    import gradio
    from matplotlib.figure import Figure

__all__ = ["Pictures", "add_examples", "add_player", "add_upload", "load_gradio"]

NO_EXPERTS = "This model has no mixture of experts: there is no map to draw."


class Pictures:
    """The place of the spectrograms and, under them, of the experts.

    Arguments
    ---------
    gr : ModuleType
        gradio.
    experts_note : str
        Stands above the experts, where there are some.

    Example
    -------
    >>> import gradio
    >>> with gradio.Blocks(analytics_enabled=False):
    ...     pictures = Pictures(gradio, "The experts.")
    >>> _, note, plot = pictures.show(None, None)
    >>> plot.visible
    False
    """

    def __init__(self, gr: ModuleType, experts_note: str):
        self.gr = gr
        self.experts_note = experts_note
        self.components = (
            gr.Plot(show_label=False, format="png"),
            gr.Markdown(),
            gr.Plot(show_label=False, format="png"),
        )

    def show(
        self, spectrograms: "Figure", experts: "Figure | None"
    ) -> tuple["Figure", str, "gradio.Plot"]:
        """New values of the components.

        Arguments
        ---------
        spectrograms : Figure
            Always there.
        experts : Figure | None
            None for a model without a mixture of experts.

        Returns
        -------
        tuple[Figure, str, gradio.Plot]
            Spectrograms, note, experts.
        """
        note = NO_EXPERTS if experts is None else self.experts_note
        plot = self.gr.Plot(value=experts, visible=experts is not None)
        return spectrograms, note, plot


def load_gradio() -> ModuleType:
    """Loads what the page needs.

    Returns
    -------
    ModuleType
        gradio.

    Raises
    ------
    ImportError
        If gradio or matplotlib is not installed.

    Example
    -------
    >>> load_gradio().__name__
    'gradio'
    """
    try:
        import gradio
        import matplotlib  # noqa: F401 (asked for now, not in the first request)
    except ImportError as error:
        raise ImportError(
            "the demo needs gradio and matplotlib: pip install '.[demo]'"
        ) from error
    return gradio


def add_upload(
    gr: ModuleType, label: str, elem_id: str, sources: list[str] | None = None
) -> "gradio.Audio":
    """An input for a file of the visitor, which fetches no address.

    Arguments
    ---------
    gr : ModuleType
        gradio.
    label : str
        Its name on the page.
    elem_id : str
        Its name in the HTML.
    sources : list[str] | None
        As for ``gradio.Audio``; None is a file or the microphone.

    Returns
    -------
    gradio.Audio
        Gives the path of the upload.

    Example
    -------
    >>> import gradio
    >>> with gradio.Blocks(analytics_enabled=False):
    ...     add_upload(gradio, "Noisy speech", "noisy-upload").sources
    ['upload', 'microphone']
    """
    upload = gr.Audio(
        label=label,
        sources=sources,
        type="filepath",
        editable=False,
        buttons=[],
        elem_id=elem_id,
    )
    # A subclass would do, but Gradio writes a file beside the source of each.
    keep = upload.async_move_resource_to_block_cache

    async def keep_uploads(path: str | Path | None) -> str | None:
        if "://" in str(path):
            raise gr.Error("addresses are not fetched: upload a file", **ONE_LINE)
        return await keep(path)

    upload.async_move_resource_to_block_cache = keep_uploads
    return upload


def add_player(gr: ModuleType, label: str, elem_id: str) -> "gradio.Audio":
    """A player of a result; its cache takes the file.

    Arguments
    ---------
    gr : ModuleType
        gradio.
    label : str
        Its name on the page.
    elem_id : str
        Its name in the HTML.

    Returns
    -------
    gradio.Audio
        Takes a path.

    Example
    -------
    >>> import gradio
    >>> with gradio.Blocks(analytics_enabled=False):
    ...     add_player(gradio, "Enhanced", "enhanced-player").interactive
    False
    """
    return gr.Audio(label=label, interactive=False, buttons=[], elem_id=elem_id)


def add_examples(
    gr: ModuleType,
    examples: Sequence[Sequence[str | Path]],
    inputs: Sequence["gradio.Audio"],
) -> None:
    """Files to try, named after the first of each row; nothing if there are none.

    Arguments
    ---------
    gr : ModuleType
        gradio.
    examples : Sequence[Sequence[str | Path]]
        Rows with a file for each input.
    inputs : Sequence[gradio.Audio]
        What ``add_upload`` returned.

    Example
    -------
    >>> import gradio
    >>> with gradio.Blocks(analytics_enabled=False) as page:
    ...     add_examples(gradio, [], [])
    >>> len(page.blocks)
    0
    """
    if examples:
        gr.Examples(
            [[str(path) for path in row] for row in examples],
            list(inputs),
            cache_examples=False,
            example_labels=[Path(row[0]).stem for row in examples],
        )
