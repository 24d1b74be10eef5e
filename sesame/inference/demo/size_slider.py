"""The choice of a sub-network of SEFlow, and what it costs."""

from types import ModuleType

from sesame.models.seflow import SEFlow

from ..flow_sizes import FlowSize, flow_sizes
from ..size_report import report_size
from .answers import ONE_LINE

__all__ = ["SizeSlider"]

# Where the sizes are put in order, and told before there is a recording, Hz.
RATE = 16_000


class SizeSlider:
    """A slider over all sizes, from the cheapest to the whole network.

    Beside it stands what the size is and costs.

    Arguments
    ---------
    gr : ModuleType
        gradio.
    network : SEFlow
        The network.

    Example
    -------
    >>> import gradio
    >>> with gradio.Blocks(analytics_enabled=False):
    ...     size = SizeSlider(gradio, SEFlow())
    >>> size.slider.maximum, str(size.chosen(1))
    (64, 'width 1/8, depth 1')
    """

    def __init__(self, gr: ModuleType, network: SEFlow):
        self.network = network
        self.sizes = sorted(
            flow_sizes(network), key=lambda size: (size.gmacs(network, RATE), size)
        )
        count = len(self.sizes)
        with gr.Row():
            self.slider = gr.Slider(
                1,
                # A slider must have two ends.
                max(count, 2),
                value=count,
                step=1,
                label="Size, from the fastest to the largest",
                elem_id="size-slider",
                visible=count > 1,
            )
            text = gr.Markdown(self.describe(count), elem_id="size-text")

        def describe(number: float) -> str:
            try:
                return self.describe(number)
            except ValueError as error:
                raise gr.Error(str(error), **ONE_LINE) from error

        # Neither waits for those whose sound is being enhanced.
        self.slider.change(
            describe,
            [self.slider],
            [text],
            api_name="size",
            api_visibility="private",
            queue=False,
            show_progress="hidden",
            trigger_mode="always_last",
        )

    def chosen(self, number: float) -> FlowSize:
        """The size at a position of the slider.

        Arguments
        ---------
        number : float
            The position, from 1.

        Returns
        -------
        FlowSize
            Width and depth.

        Raises
        ------
        ValueError
            If there is no such position.
        """
        if number not in range(1, len(self.sizes) + 1):
            raise ValueError(
                f"size ({number}) must be a whole number from 1 to {len(self.sizes)}"
            )
        return self.sizes[int(number) - 1]

    def describe(
        self, number: float, sample_rate: int = RATE, enrolled: bool = False
    ) -> str:
        """Tells what a position means.

        Arguments
        ---------
        number : float
            The position, from 1.
        sample_rate : int
            Rate of the recording, Hz.
        enrolled : bool
            Whether a voice comes with it.

        Returns
        -------
        str
            One line.
        """
        width, depth = self.chosen(number)
        report = report_size(self.network, sample_rate, float(width), depth, enrolled)
        return f"Size {int(number)} of {len(self.sizes)}: {report}."
