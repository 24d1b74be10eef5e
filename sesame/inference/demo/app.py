"""The web page of the demo, and its server. Gradio is loaded when it is built."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..audio_files import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from ..enhancer import Enhancer
from .guards import Deadline, RefuseAddresses
from .processing import MAP_SECONDS, enhance_upload

if TYPE_CHECKING:
    import gradio

__all__ = ["build_app", "launch"]

CHECKOUT = Path(__file__).resolve().parents[3]
NUM_EXAMPLES = 4
MAX_SECONDS = 120.0
BUDGET_SECONDS = 300.0
MAX_FILE_SIZE = "50mb"
MAX_WAITING = 16
# The end of a slider, which has no way to say None.
NO_LIMIT_DB = 60
CACHE_SECONDS = 3600  # looked at as often, so that files stay for up to twice this

INTRODUCTION = """
# SESAME speech enhancement

Upload or record noisy speech and listen to it without the noise.{model} With the clean
signal beside it, both are scored. Accepted: up to {seconds:g} s, {size}, {channels}
channels, {low} to {high} Hz; WAV, FLAC, Ogg, MP3.
"""
PRIVACY = """
Sound is processed by the server of this page and sent nowhere else. Uploads and results
stay in a cache for one to two hours, or until the server stops. **Any file in the cache
can be read by whoever has its URL.**
"""
NO_EXPERTS = "This model has no mixture of experts: there is no map to draw."
EXPERTS = f"The expert that each bin chose first, in the first {MAP_SECONDS:g} s."
NO_SCORES = "Add a clean reference to see scores."
# For gradio.Error: a mistake of the visitor is no traceback in the server's log.
ONE_LINE = {"print_exception": False}


def build_app(
    enhancer: Enhancer,
    examples: Sequence[tuple[str | Path, str | Path]] = (),
    max_seconds: float = MAX_SECONDS,
    budget_seconds: float = BUDGET_SECONDS,
    model_name: str = "",
) -> "gradio.Blocks":
    """The page with its functions; ``launch`` adds the limits of the server.

    Nothing is kept between requests. One request is computed at a time, others wait.

    Arguments
    ---------
    enhancer : Enhancer
        The only model that visitors can use.
    examples : Sequence[tuple[str | Path, str | Path]]
        Noisy file and its clean reference, to try without a file of one's own.
    max_seconds : float
        Longest signal that is accepted [s].
    budget_seconds : float
        Longest that a request may be computed [s]; looked at after each window.
    model_name : str
        What the page calls the model.

    Returns
    -------
    gradio.Blocks
        Ready to be launched.

    Raises
    ------
    ValueError
        If a limit is not positive.
    ImportError
        If Gradio is not installed.

    Example
    -------
    >>> build_app(None, max_seconds=0)
    Traceback (most recent call last):
    ValueError: max_seconds (0) and budget_seconds (300.0) must be positive
    """
    if not (max_seconds > 0 and budget_seconds > 0):
        raise ValueError(
            f"max_seconds ({max_seconds}) and budget_seconds ({budget_seconds}) must "
            "be positive"
        )
    gr = _load_gradio()
    introduction = INTRODUCTION.format(
        model=f" Model: {model_name}." if model_name else "",
        seconds=max_seconds,
        size=MAX_FILE_SIZE.upper(),
        channels=MAX_CHANNELS,
        low=MIN_SAMPLE_RATE,
        high=MAX_SAMPLE_RATE,
    )
    with gr.Blocks(
        title="SESAME",
        analytics_enabled=False,
        delete_cache=(CACHE_SECONDS, CACHE_SECONDS),
    ) as app:
        gr.Markdown(introduction)
        with gr.Row():
            noisy = gr.Audio(
                label="Noisy speech",
                type="filepath",
                editable=False,
                buttons=[],
                elem_id="noisy-upload",
            )
            reference = gr.Audio(
                label="Clean reference, if there is one",
                sources=["upload"],
                type="filepath",
                editable=False,
                buttons=[],
                elem_id="clean-upload",
            )
        _refuse_addresses(gr, noisy)
        _refuse_addresses(gr, reference)
        with gr.Row():
            attenuation = gr.Slider(
                0,
                NO_LIMIT_DB,
                value=NO_LIMIT_DB,
                step=1,
                label=f"Maximum attenuation [dB]; {NO_LIMIT_DB} is no limit",
            )
            dry = gr.Slider(0, 1, value=0, label="Share of the noisy signal left in")
        if examples:
            gr.Examples(
                [[str(path) for path in pair] for pair in examples],
                [noisy, reference],
                cache_examples=False,
                example_labels=[Path(pair[0]).stem for pair in examples],
            )
        button = gr.Button("Enhance", variant="primary")
        with gr.Row():
            before = gr.Audio(
                label="Noisy", interactive=False, buttons=[], elem_id="noisy-player"
            )
            after = gr.Audio(
                label="Enhanced",
                interactive=False,
                buttons=[],
                elem_id="enhanced-player",
            )
        download = gr.DownloadButton("Download the enhanced WAV", interactive=False)
        with gr.Row():
            with gr.Column(scale=1):
                scores = gr.Markdown(NO_SCORES)
            with gr.Column(scale=3):
                spectrograms = gr.Plot(show_label=False, format="png")
                experts_note = gr.Markdown()
                experts = gr.Plot(show_label=False, format="png")
        gr.Markdown(PRIVACY)

        enhance = _request_handler(gr, enhancer, max_seconds, budget_seconds, after)
        button.click(
            enhance,
            [noisy, reference, attenuation, dry],
            [before, after, download, scores, spectrograms, experts_note, experts],
            api_name="enhance",
        )
    return app.queue(max_size=MAX_WAITING, default_concurrency_limit=1)


def launch(
    model: str | Path | None = None,
    device: str = "auto",
    port: int = 7860,
    host: str = "127.0.0.1",
) -> None:
    """Serves the demo until Ctrl-C; reachable from this machine alone by default.

    Arguments
    ---------
    model : str | Path | None
        As for ``Enhancer.from_pretrained``; None is ``pretrained/sesame-small``.
    device : str
        A torch device; "auto" is the first CUDA device, else the CPU.
    port : int
        TCP port, which must be free.
    host : str
        Address to listen on; "0.0.0.0" is every network the machine is in.

    Raises
    ------
    ValueError
        If the model cannot be loaded.
    OSError
        If the port is taken.
    ImportError
        If Gradio or matplotlib is not installed.

    Example
    -------
    >>> launch("no/such/model")
    Traceback (most recent call last):
    ValueError: model folder no/such/model must hold config.json and ...
    """
    gr = _load_gradio()
    from starlette.middleware import Middleware

    from ..cli.common import model_path

    model = model_path(model)
    enhancer = Enhancer.from_pretrained(model, device)
    app = build_app(enhancer, _bundled_examples(), model_name=Path(model).name)
    app.launch(
        server_name=host,
        server_port=port,
        share=False,
        show_error=False,
        max_file_size=MAX_FILE_SIZE,
        # Neither a second server nor what would record or leave this machine.
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        theme=gr.themes.Default(
            font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
        app_kwargs={"middleware": [Middleware(RefuseAddresses)]},
    )


def _bundled_examples() -> list[tuple[Path, Path]]:
    """Pairs of our own test set; none where the library is installed without it."""
    data = CHECKOUT / "data" / "minibank"
    noisy = sorted((data / "noisy_testset_wav").glob("*.flac"))[:NUM_EXAMPLES]
    return [(path, data / "clean_testset_wav" / path.name) for path in noisy]


def _load_gradio() -> ModuleType:
    try:
        import gradio
        import matplotlib  # noqa: F401 (asked for now, not in the first request)
    except ImportError as error:
        raise ImportError(
            "the demo needs gradio and matplotlib: pip install '.[demo]'"
        ) from error
    return gradio


def _request_handler(
    gr: ModuleType,
    enhancer: Enhancer,
    max_seconds: float,
    budget_seconds: float,
    player: "gradio.Audio",
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
        deadline = Deadline(budget_seconds)

        def report(fraction: float, step: str) -> None:
            deadline.check()
            progress(fraction, step)

        limit = None if max_attenuation_db == NO_LIMIT_DB else max_attenuation_db
        with tempfile.TemporaryDirectory() as folder:
            try:
                result = enhance_upload(
                    enhancer, noisy, reference, folder, max_seconds, limit, dry, report
                )
            except ValueError as error:
                raise gr.Error(str(error), **ONE_LINE) from error
            # Gradio deletes what it has put into its cache itself.
            noisy_wav = player.move_resource_to_block_cache(result.noisy)
            enhanced_wav = player.move_resource_to_block_cache(result.enhanced)
        return (
            noisy_wav,
            enhanced_wav,
            gr.DownloadButton(value=enhanced_wav, interactive=True),
            result.scores or NO_SCORES,
            result.spectrograms,
            NO_EXPERTS if result.experts is None else EXPERTS,
            gr.Plot(value=result.experts, visible=result.experts is not None),
        )

    return enhance


def _refuse_addresses(gr: ModuleType, upload: "gradio.Audio") -> None:
    """Takes from an input the power to fetch what a visitor names.

    A subclass would do, but Gradio writes a file beside the source of each.
    """
    keep = upload.async_move_resource_to_block_cache

    async def keep_uploads(path: str | Path | None) -> str | None:
        if "://" in str(path):
            raise gr.Error("addresses are not fetched: upload a file", **ONE_LINE)
        return await keep(path)

    upload.async_move_resource_to_block_cache = keep_uploads
