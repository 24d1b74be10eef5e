"""``sesame demo``: the web demo."""

import argparse

from .common import model_path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``demo`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["demo"]).host
    '127.0.0.1'
    """
    parser = commands.add_parser("demo", help="open the web demo")
    parser.set_defaults(run=run)
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="model folder or hf://owner/name[@revision]; default: sesame-small",
    )
    parser.add_argument(
        "--separator",
        metavar="MODEL",
        help="the same for separating speakers; default: tf-moe-small, if it is there",
    )
    parser.add_argument(
        "--seflow",
        metavar="MODEL",
        help="the same for extracting a voice, cancelling echo and choosing a size; "
        "default: seflow-small, if it is there",
    )
    parser.add_argument("--device", default="auto", help="such as cpu or cuda:0")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; the default is reachable from this machine alone",
    )


def run(arguments: argparse.Namespace) -> None:
    """Serves the demo until Ctrl-C.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Raises
    ------
    ValueError
        If there is no such model.
    ImportError
        If Gradio is not installed.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["demo", "--model", "no/such"]))  # doctest: +SKIP
    """
    model = model_path(arguments.model)
    from sesame.inference.demo import launch

    launch(
        model,
        arguments.device,
        arguments.port,
        arguments.host,
        arguments.separator,
        arguments.seflow,
    )
