"""The part of the page that enhances."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..enhancer import Enhancer
from .answers import ONE_AT_A_TIME, ONE_LINE, Limits, answer_request
from .enhance_parts import EnhanceResults, add_strength, attenuation_limit
from .parts import add_examples, add_upload
from .processing import enhance_upload

__all__ = ["add_enhance_tab"]

INTRODUCTION = """
Upload or record noisy speech and listen to it without the noise.{model} With the clean
signal beside it, both are scored. {accepted}
"""


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
    attenuation, dry = add_strength(gr)
    add_examples(gr, examples, [noisy, reference])
    button = gr.Button("Enhance", variant="primary")
    results = EnhanceResults(gr)
    button.click(
        _handler(gr, enhancer, limits, results),
        [noisy, reference, attenuation, dry],
        results.components,
        api_name="enhance",
        **ONE_AT_A_TIME,
    )


def _handler(
    gr: ModuleType,
    enhancer: Enhancer,
    limits: Limits,
    results: EnhanceResults,
) -> Callable[..., tuple[Any, ...]]:
    """What the button does."""
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
        with answer_request(gr, limits.budget_seconds, progress) as (folder, report):
            result = enhance_upload(
                enhancer,
                noisy,
                reference,
                folder,
                limits.max_seconds,
                attenuation_limit(max_attenuation_db),
                dry,
                report,
            )
            return results.show(result)

    return enhance
