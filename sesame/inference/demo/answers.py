"""What the tabs of the page share in answering: limits, messages and what stays."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ..audio_files import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from .guards import Deadline

__all__ = ["MAX_FILE_SIZE", "ONE_AT_A_TIME", "ONE_LINE", "Limits", "answer_request"]

MAX_FILE_SIZE = "50mb"
# For gradio.Error: a mistake of the visitor is no traceback in the server's log.
ONE_LINE = {"print_exception": False}
# For the events of all tabs, each of which would else have a queue of its own.
ONE_AT_A_TIME = {"concurrency_limit": 1, "concurrency_id": "models"}


class Limits(NamedTuple):
    """What a request may ask for.

    Arguments
    ---------
    max_seconds : float
        Longest signal that is accepted [s].
    budget_seconds : float
        Longest that a request may be computed [s].

    Example
    -------
    >>> print(Limits(120.0, 300.0).describe())
    Accepted: up to 120 s, 50MB, 32 channels, 4000 to 384000 Hz; WAV, FLAC, Ogg, MP3.
    """

    max_seconds: float
    budget_seconds: float

    def describe(self) -> str:
        """What visitors are told of the files that they can upload.

        Returns
        -------
        str
            One sentence.
        """
        return (
            f"Accepted: up to {self.max_seconds:g} s, {MAX_FILE_SIZE.upper()}, "
            f"{MAX_CHANNELS} channels, {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz; WAV, "
            "FLAC, Ogg, MP3."
        )


@contextmanager
def answer_request(
    gr: ModuleType,
    budget_seconds: float,
    progress: Callable[[float, str], Any],
) -> Iterator[tuple[Path, Callable[[float, str], None]]]:
    """A request from its beginning to its end, which leaves nothing behind.

    Arguments
    ---------
    gr : ModuleType
        gradio.
    budget_seconds : float
        Longest that it may be computed [s].
    progress : Callable[[float, str], Any]
        Shows the fraction done, 0 to 1, and what is done next.

    Yields
    ------
    tuple[Path, Callable[[float, str], None]]
        A folder that is deleted in the end, and what is to be called instead of the
        progress: it ends the request when its time is over.

    Raises
    ------
    gradio.Error
        One line for the visitor, in place of each ValueError.

    Example
    -------
    >>> import gradio
    >>> with answer_request(gradio, 300.0, print) as (folder, report):
    ...     report(0.0, "reading")
    0.0 reading
    >>> folder.exists()
    False
    """
    deadline = Deadline(budget_seconds)

    def report(fraction: float, step: str) -> None:
        deadline.check()
        progress(fraction, step)

    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Path(folder), report
        except ValueError as error:
            raise gr.Error(str(error), **ONE_LINE) from error
