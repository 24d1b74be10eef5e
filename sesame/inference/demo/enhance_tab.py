"""The part of the page that enhances."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..enhancer import Enhancer
from .answers import ONE_AT_A_TIME, ONE_LINE, Limits, answer_request
from .parts import Pictures, add_examples, add_player, add_upload
from .processing import enhance_upload
from .signals import MAP_SECONDS

if TYPE_CHECKING:
    import gradio

__all__ = ["add_enhance_tab"]

# The end of a slider, which has no way to say None.
NO_LIMIT_DB = 60
INTRODUCTION = """
Upload or record noisy speech and listen to it without the noise.{model} With the clean
signal beside it, both are scored. {accepted}
"""
EXPERTS = f"The expert that each bin chose first, in the first {MAP_SECONDS:g} s."
NO_SCORES = "Add a clean reference to see scores."


def add_enhance_tab(
    gr: ModuleType,
    enhancer: Enhancer,
    limits: Limits,
    examples: Sequence[tuple[str | Path, str | Path]] = (),
    model_name: str = "",
) -> None:
    """Adds to the page that is being built what uploads are enhanced with.

    Arguments
    ---------
    gr : ModuleType
        gradio.
    enhancer : Enhancer
        Enhances.
    limits : Limits
        Of the length of signals and the time of requests.
    examples : Sequence[tuple[str | Path, str | Path]]
        Noisy file and its clean reference, to try without a file of one's own.
    model_name : str
        What the page calls the model.

    Example
    -------
    >>> import gradio
    >>> with gradio.Blocks(analytics_enabled=False) as page:
    ...     add_enhance_tab(gradio, None, Limits(120.0, 300.0))
    >>> [function.api_name for function in page.fns.values()]
    ['enhance']
    """
    model = f" Model: {model_name}." if model_name else ""
    gr.Markdown(INTRODUCTION.format(model=model, accepted=limits.describe()))
    with gr.Row():
        noisy = add_upload(gr, "Noisy speech", "noisy-upload")
        reference = add_upload(
            gr, "Clean reference, if there is one", "clean-upload", ["upload"]
        )
    with gr.Row():
        attenuation = gr.Slider(
            0,
            NO_LIMIT_DB,
            value=NO_LIMIT_DB,
            step=1,
            label=f"Maximum attenuation [dB]; {NO_LIMIT_DB} is no limit",
        )
        dry = gr.Slider(0, 1, value=0, label="Share of the noisy signal left in")
    add_examples(gr, examples, [noisy, reference])
    button = gr.Button("Enhance", variant="primary")
    with gr.Row():
        before = add_player(gr, "Noisy", "noisy-player")
        after = add_player(gr, "Enhanced", "enhanced-player")
    download = gr.DownloadButton("Download the enhanced WAV", interactive=False)
    with gr.Row():
        with gr.Column(scale=1):
            scores = gr.Markdown(NO_SCORES)
        with gr.Column(scale=3):
            pictures = Pictures(gr, EXPERTS)
    button.click(
        _handler(gr, enhancer, limits, after, pictures),
        [noisy, reference, attenuation, dry],
        [before, after, download, scores, *pictures.components],
        api_name="enhance",
        **ONE_AT_A_TIME,
    )


def _handler(
    gr: ModuleType,
    enhancer: Enhancer,
    limits: Limits,
    player: "gradio.Audio",
    pictures: Pictures,
) -> Callable[..., tuple[Any, ...]]:
    """What the button does; the player's cache takes the files."""
    bar = gr.Progress()

    def enhance(
        noisy: str | None,
        reference: str | None,
        max_attenuation_db: float,
        dry: float,
        # Gradio knows what this is by its default.
        progress: Any = bar,
    ) -> tuple[Any, ...]:
        if noisy is None:
            raise gr.Error("upload or record a noisy file first", **ONE_LINE)
        limit = None if max_attenuation_db == NO_LIMIT_DB else max_attenuation_db
        with answer_request(gr, limits.budget_seconds, progress) as (folder, report):
            result = enhance_upload(
                enhancer,
                noisy,
                reference,
                folder,
                limits.max_seconds,
                limit,
                dry,
                report,
            )
            # Gradio deletes what it has put into its cache itself.
            noisy_wav = player.move_resource_to_block_cache(result.noisy)
            enhanced_wav = player.move_resource_to_block_cache(result.enhanced)
        return (
            noisy_wav,
            enhanced_wav,
            gr.DownloadButton(value=enhanced_wav, interactive=True),
            result.scores or NO_SCORES,
            *pictures.show(result.spectrograms, result.experts),
        )

    return enhance
