"""The part of the page that enhances with SEFlow: at any size, with more inputs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..flow_enhancer import FlowEnhancer
from .answers import ONE_AT_A_TIME, ONE_LINE, Limits, answer_request
from .enhance_parts import EnhanceResults, add_strength, attenuation_limit
from .parts import add_examples, add_upload
from .priors import read_priors
from .processing import enhance_upload
from .size_slider import SizeSlider

__all__ = ["add_flow_tab"]

INTRODUCTION = """
Upload or record noisy speech and listen to it without the noise.{model} With a voice
beside it, that speaker is extracted; with what a loudspeaker played during the
recording, from its first sample on, the echo of that is removed. With the clean signal
beside it, both are scored. {accepted}
"""


def add_flow_tab(
    gr: ModuleType,
    enhancer: FlowEnhancer,
    limits: Limits,
    examples: Sequence[tuple[str | Path, str | Path]] = (),
    model_name: str = "",
    prefix: str = "",
) -> None:
    """Adds to the page that is being built what uploads are enhanced with.

    Arguments
    ---------
    gr : ModuleType
        gradio.
    enhancer : FlowEnhancer
        Its network enhances, at the size that visitors choose.
    limits : Limits
        Of the length of signals and the time of requests.
    examples : Sequence[tuple[str | Path, str | Path]]
        Noisy file and its clean reference, to try without a file of one's own.
    model_name : str
        What the page calls the model.
    prefix : str
        What its names in the HTML and its function begin with, for a page that also has
        the tab of another enhancer.

    Example
    -------
    >>> import gradio
    >>> from sesame.models.seflow import SEFlow
    >>> network = SEFlow(width=16, depth=2, head_channels=4)
    >>> with gradio.Blocks(analytics_enabled=False) as page:
    ...     add_flow_tab(gradio, FlowEnhancer(network, "cpu"), Limits(120.0, 300.0))
    >>> [function.api_name for function in page.fns.values()]
    ['size', 'enhance']
    """
    model = f" Model: {model_name}." if model_name else ""
    gr.Markdown(INTRODUCTION.format(model=model, accepted=limits.describe()))
    with gr.Row():
        noisy = add_upload(gr, "Noisy speech", f"{prefix}noisy-upload")
        reference = add_upload(
            gr, "Clean reference, if there is one", f"{prefix}clean-upload", ["upload"]
        )
    with gr.Row():
        voice = add_upload(gr, "Voice to extract, if there is one", "voice-upload")
        far_end = add_upload(
            gr, "Far end (loudspeaker), if there is one", "far-end-upload", ["upload"]
        )
    attenuation, dry = add_strength(gr)
    size = SizeSlider(gr, enhancer.network)
    add_examples(gr, examples, [noisy, reference])
    button = gr.Button("Enhance", variant="primary")
    facts = gr.Markdown(elem_id="enhanced-facts")
    results = EnhanceResults(gr, prefix)
    button.click(
        _handler(gr, enhancer, limits, size, results),
        [noisy, reference, attenuation, dry, voice, far_end, size.slider],
        [*results.components, facts],
        api_name=f"{prefix}enhance",
        **ONE_AT_A_TIME,
    )


def _handler(
    gr: ModuleType,
    enhancer: FlowEnhancer,
    limits: Limits,
    size: SizeSlider,
    results: EnhanceResults,
) -> Callable[..., tuple[Any, ...]]:
    """What the button does."""
    bar = gr.Progress()

    def enhance(
        noisy: str | None,
        reference: str | None,
        max_attenuation_db: float,
        dry: float,
        voice: str | None,
        far_end: str | None,
        number: float,
        # Gradio knows what this is by its default.
        progress: Any = bar,
    ) -> tuple[Any, ...]:
        if noisy is None:
            raise gr.Error("upload or record a noisy file first", **ONE_LINE)
        with answer_request(gr, limits.budget_seconds, progress) as (folder, report):
            width, depth = size.chosen(number)
            result = enhance_upload(
                # The weights are shared: this costs nothing.
                FlowEnhancer(enhancer.network, enhancer.device, float(width), depth),
                noisy,
                reference,
                folder,
                limits.max_seconds,
                attenuation_limit(max_attenuation_db),
                dry,
                report,
                read_priors(voice, far_end, folder, limits.max_seconds),
            )
            shown = results.show(result)
        told = size.describe(number, result.sample_rate, voice is not None)
        return *shown, "\n\n".join([told, *result.warnings])

    return enhance
