"""The part of the page that separates speakers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..separator import Separator
from .answers import ONE_AT_A_TIME, ONE_LINE, Limits, answer_request
from .parts import Pictures, add_examples, add_player, add_upload
from .separate_processing import separate_upload
from .signals import MAP_SECONDS

if TYPE_CHECKING:
    import gradio

__all__ = ["add_separate_tab"]

INTRODUCTION = """
Upload or record {speakers} people who speak at once and listen to each of them.{model}
Which of them is speaker 1 is arbitrary, and stays so to the end. {accepted}
"""
EXPERTS = (
    "The experts that each frame went to, under the mixture, and those that each band "
    f"went to, beside it, in the first {MAP_SECONDS:g} s."
)


def add_separate_tab(
    gr: ModuleType,
    separator: Separator,
    limits: Limits,
    mixtures: Sequence[str | Path] = (),
    model_name: str = "",
) -> None:
    """Adds to the page that is being built what mixtures are separated with.

    Arguments
    ---------
    gr : ModuleType
        gradio.
    separator : Separator
        Separates; there is a player for each of its sources.
    limits : Limits
        Of the length of signals and the time of requests.
    mixtures : Sequence[str | Path]
        Files to try without one's own.
    model_name : str
        What the page calls the model.

    Example
    -------
    >>> import gradio
    >>> from sesame.models import TFMoE
    >>> network = TFMoE(channels=4, num_blocks=1, num_bands=8, num_experts=3)
    >>> separator = Separator(network, 16000, "cpu")
    >>> with gradio.Blocks(analytics_enabled=False) as page:
    ...     add_separate_tab(gradio, separator, Limits(120.0, 300.0))
    >>> [function.api_name for function in page.fns.values()]
    ['separate']
    """
    introduction = INTRODUCTION.format(
        speakers=separator.num_sources,
        model=f" Model: {model_name}." if model_name else "",
        accepted=limits.describe(),
    )
    gr.Markdown(introduction)
    mixture = add_upload(gr, "Mixture of speakers", "mixture-upload")
    add_examples(gr, [(path,) for path in mixtures], [mixture])
    button = gr.Button("Separate", variant="primary")
    players, downloads = [], []
    with gr.Row():
        for number in range(1, separator.num_sources + 1):
            with gr.Column():
                name = f"speaker {number}"
                player = add_player(gr, name.capitalize(), f"speaker{number}-player")
                players.append(player)
                download = gr.DownloadButton(f"Download {name}", interactive=False)
                downloads.append(download)
    pictures = Pictures(gr, EXPERTS)
    button.click(
        _handler(gr, separator, limits, players[0], pictures),
        [mixture],
        [*players, *downloads, *pictures.components],
        api_name="separate",
        **ONE_AT_A_TIME,
    )


def _handler(
    gr: ModuleType,
    separator: Separator,
    limits: Limits,
    player: "gradio.Audio",
    pictures: Pictures,
) -> Callable[..., tuple[Any, ...]]:
    """What the button does; the player's cache takes the files."""
    bar = gr.Progress()

    # Gradio knows what the second one is by its default.
    def separate(mixture: str | None, progress: Any = bar) -> tuple[Any, ...]:
        if mixture is None:
            raise gr.Error("upload or record a mixture first", **ONE_LINE)
        with answer_request(gr, limits.budget_seconds, progress) as (folder, report):
            result = separate_upload(
                separator, mixture, folder, limits.max_seconds, report
            )
            # Gradio deletes what it has put into its cache itself.
            keep = player.move_resource_to_block_cache
            speakers = [keep(path) for path in result.speakers]
        return (
            *speakers,
            *(gr.DownloadButton(value=path, interactive=True) for path in speakers),
            *pictures.show(result.spectrograms, result.experts),
        )

    return separate
