"""What the pages of all enhancers have in common: two sliders, and the results."""

from types import ModuleType
from typing import TYPE_CHECKING, Any

from .parts import Pictures, add_player
from .processing import Enhanced
from .signals import MAP_SECONDS

if TYPE_CHECKING:
    import gradio

__all__ = ["EnhanceResults", "add_strength", "attenuation_limit"]

# The end of a slider, which has no way to say None.
NO_LIMIT_DB = 60
EXPERTS = f"The expert that each bin chose first, in the first {MAP_SECONDS:g} s."
NO_SCORES = "Add a clean reference to see scores."


def add_strength(gr: ModuleType) -> tuple["gradio.Slider", "gradio.Slider"]:
    """Adds the sliders that say how much of the noise is left.

    Arguments
    ---------
    gr : ModuleType
        gradio.

    Returns
    -------
    tuple[gradio.Slider, gradio.Slider]
        Maximum attenuation [dB], for ``attenuation_limit``, and share of the noisy
        signal.

    Example
    -------
    >>> import gradio
    >>> with gradio.Blocks(analytics_enabled=False):
    ...     _, dry = add_strength(gradio)
    >>> dry.maximum
    1
    """
    with gr.Row():
        attenuation = gr.Slider(
            0,
            NO_LIMIT_DB,
            value=NO_LIMIT_DB,
            step=1,
            label=f"Maximum attenuation [dB]; {NO_LIMIT_DB} is no limit",
        )
        dry = gr.Slider(0, 1, value=0, label="Share of the noisy signal left in")
    return attenuation, dry


def attenuation_limit(max_attenuation_db: float) -> float | None:
    """What the position of the slider means.

    Arguments
    ---------
    max_attenuation_db : float
        Value of the slider [dB].

    Returns
    -------
    float | None
        The same; None at the end of the slider.

    Example
    -------
    >>> attenuation_limit(12), attenuation_limit(60)
    (12, None)
    """
    return None if max_attenuation_db == NO_LIMIT_DB else max_attenuation_db


class EnhanceResults:
    """Players, download, scores and pictures of an enhanced upload.

    Arguments
    ---------
    gr : ModuleType
        gradio.
    prefix : str
        What the names of its players in the HTML begin with.

    Example
    -------
    >>> import gradio
    >>> with gradio.Blocks(analytics_enabled=False):
    ...     results = EnhanceResults(gradio)
    >>> len(results.components)
    7
    """

    def __init__(self, gr: ModuleType, prefix: str = ""):
        self.gr = gr
        with gr.Row():
            before = add_player(gr, "Noisy", f"{prefix}noisy-player")
            self.player = add_player(gr, "Enhanced", f"{prefix}enhanced-player")
        download = gr.DownloadButton("Download the enhanced WAV", interactive=False)
        with gr.Row():
            with gr.Column(scale=1):
                scores = gr.Markdown(NO_SCORES)
            with gr.Column(scale=3):
                self.pictures = Pictures(gr, EXPERTS)
        shown = self.pictures.components
        self.components = [before, self.player, download, scores, *shown]

    def show(self, result: Enhanced) -> tuple[Any, ...]:
        """New values of the components; takes the files into the player's cache.

        Arguments
        ---------
        result : Enhanced
            Its files may be deleted afterwards.

        Returns
        -------
        tuple[Any, ...]
            One for each of ``components``.
        """
        # Gradio deletes what it has put into its cache itself.
        keep = self.player.move_resource_to_block_cache
        noisy_wav, enhanced_wav = keep(result.noisy), keep(result.enhanced)
        return (
            noisy_wav,
            enhanced_wav,
            self.gr.DownloadButton(value=enhanced_wav, interactive=True),
            result.scores or NO_SCORES,
            *self.pictures.show(result.spectrograms, result.experts),
        )
