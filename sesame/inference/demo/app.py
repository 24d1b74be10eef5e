"""The web page of the demo, and its server. Gradio is loaded when it is built."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..enhancer import Enhancer
from ..flow_enhancer import FlowEnhancer
from ..hub import resolve_model
from ..model_folder import names_seflow
from ..separator import Separator
from .answers import MAX_FILE_SIZE, Limits
from .enhance_tab import add_enhance_tab
from .flow_tab import add_flow_tab
from .guards import RefuseAddresses
from .parts import load_gradio
from .separate_tab import add_separate_tab

if TYPE_CHECKING:
    import gradio

__all__ = ["build_app", "launch"]

CHECKOUT = Path(__file__).resolve().parents[3]
NUM_EXAMPLES = 4
MAX_SECONDS = 120.0
BUDGET_SECONDS = 300.0
MAX_WAITING = 16
CACHE_SECONDS = 3600  # looked at as often, so that files stay for up to twice this
PRIVACY = """
Sound is processed by the server of this page and sent nowhere else. Uploads and results
stay in a cache for one to two hours, or until the server stops. **Any file in the cache
can be read by whoever has its URL.**
"""


def build_app(
    enhancer: Enhancer | FlowEnhancer,
    examples: Sequence[tuple[str | Path, str | Path]] = (),
    max_seconds: float = MAX_SECONDS,
    budget_seconds: float = BUDGET_SECONDS,
    model_name: str = "",
    separator: Separator | None = None,
    mixtures: Sequence[str | Path] = (),
    separator_name: str = "",
    flow: FlowEnhancer | None = None,
    flow_name: str = "",
) -> "gradio.Blocks":
    """The page with its functions; ``launch`` adds the limits of the server.

    Nothing is kept between requests. One request is computed at a time, others wait.

    Arguments
    ---------
    enhancer : Enhancer | FlowEnhancer
        The model that visitors enhance with; of a SEFlow, they choose the size, and can
        add a voice and a far end.
    examples : Sequence[tuple[str | Path, str | Path]]
        Noisy file and its clean reference, to try without a file of one's own.
    max_seconds : float
        Longest signal that is accepted [s].
    budget_seconds : float
        Longest that a request may be computed [s]; looked at after each window.
    model_name : str
        What the page calls the model.
    separator : Separator | None
        The only model that visitors can separate speakers with, on a tab of its own;
        None: there is no such tab.
    mixtures : Sequence[str | Path]
        Files to separate without one's own.
    separator_name : str
        What the page calls the separator.
    flow : FlowEnhancer | None
        A SEFlow beside the enhancer, on a tab of its own; None: there is no such tab.
    flow_name : str
        What the page calls it.

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
    gr = load_gradio()
    limits = Limits(max_seconds, budget_seconds)
    add_tab = add_flow_tab if isinstance(enhancer, FlowEnhancer) else add_enhance_tab
    with gr.Blocks(
        title="SESAME",
        analytics_enabled=False,
        delete_cache=(CACHE_SECONDS, CACHE_SECONDS),
    ) as app:
        also = "" if separator is None else " and separation"
        gr.Markdown(f"# SESAME speech enhancement{also}")
        # One page alone has no tabs.
        alone = separator is None and flow is None
        with nullcontext() if alone else gr.Tabs():
            with nullcontext() if alone else gr.Tab("Enhance"):
                add_tab(gr, enhancer, limits, examples, model_name)
            if flow is not None:
                with gr.Tab("Extract, cancel echo, choose a size"):
                    add_flow_tab(gr, flow, limits, examples, flow_name, "flow-")
            if separator is not None:
                with gr.Tab("Separate"):
                    add_separate_tab(gr, separator, limits, mixtures, separator_name)
        gr.Markdown(PRIVACY)
    return app.queue(max_size=MAX_WAITING, default_concurrency_limit=1)


def launch(
    model: str | Path | None = None,
    device: str = "auto",
    port: int = 7860,
    host: str = "127.0.0.1",
    separator: str | Path | None = None,
    flow: str | Path | None = None,
) -> None:
    """Serves the demo until Ctrl-C; reachable from this machine alone by default.

    Arguments
    ---------
    model : str | Path | None
        As for ``Enhancer.from_pretrained`` or ``FlowEnhancer.from_pretrained``; None
        is ``pretrained/sesame-small``.
    device : str
        A torch device; "auto" is the first CUDA device, else the CPU.
    port : int
        TCP port, which must be free.
    host : str
        Address to listen on; "0.0.0.0" is every network the machine is in.
    separator : str | Path | None
        As for ``Separator.from_pretrained``; None is ``pretrained/tf-moe-small``, and
        no separation where that is missing.
    flow : str | Path | None
        As for ``FlowEnhancer.from_pretrained``; None is
        ``pretrained/seflow-small``. Not shown where that is missing, or the model is a
        SEFlow itself.

    Raises
    ------
    ValueError
        If a model cannot be loaded.
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
    gr = load_gradio()
    from starlette.middleware import Middleware

    from ..cli.common import DEFAULT_FLOW, DEFAULT_SEPARATOR, model_path

    model = model_path(model)
    separator = _chosen(separator, DEFAULT_SEPARATOR)
    flow = _chosen(flow, DEFAULT_FLOW)
    options = {"model_name": Path(model).name}
    kind = FlowEnhancer if names_seflow(resolve_model(model)) else Enhancer
    enhancer = kind.from_pretrained(model, device)
    if separator is not None:
        options["separator"] = Separator.from_pretrained(separator, device)
        options["separator_name"] = Path(separator).name
    if flow is not None and kind is not FlowEnhancer:
        options["flow"] = FlowEnhancer.from_pretrained(flow, device)
        options["flow_name"] = Path(flow).name
    app = build_app(enhancer, _bundled_examples(), **options)
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


def _chosen(model: str | Path | None, default: Path) -> str | Path | None:
    """What was asked for, or what comes with the library; None if neither."""
    return default if model is None and default.is_dir() else model


def _bundled_examples() -> list[tuple[Path, Path]]:
    """Pairs of our own test set; none where the library is installed without it."""
    data = CHECKOUT / "data" / "minibank"
    noisy = sorted((data / "noisy_testset_wav").glob("*.flac"))[:NUM_EXAMPLES]
    return [(path, data / "clean_testset_wav" / path.name) for path in noisy]
