"""What protects a server from its visitors: limits on files, time and addresses."""

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ..audio_files import AudioInfo, check_audio, new_audio_file, read_blocks

__all__ = ["Deadline", "RefuseAddresses", "decode_upload"]

# Of all channels together. A compressed file of a few bytes can hold hours of silence.
MAX_SAMPLES = 2**26
# libsndfile's number of frames of a stream whose header does not say it.
UNKNOWN_LENGTH = 2**63 - 1
# Sample formats of WAV that hold what was decoded; the others become FLOAT.
EXACT_SUBTYPES = {"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
# What a server is asked to fetch for a visitor, such as /file=http://...
ADDRESS = re.compile(r"=\W*(https?|ftp|file):", re.IGNORECASE)


class Deadline:
    """The end of the time that one request may take.

    Arguments
    ---------
    seconds : float
        From now on [s].
    clock : Callable[[], float]
        The time [s], from any origin.

    Example
    -------
    >>> Deadline(60.0).check()
    >>> Deadline(-1.0).check()
    Traceback (most recent call last):
    ValueError: this took longer than the -1 s that a request may take
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic):
        self.seconds = seconds
        self.clock = clock
        self.end = clock() + seconds

    def check(self) -> None:
        """Refuses to go on when the time is over.

        Raises
        ------
        ValueError
            If the time is over.
        """
        if self.clock() > self.end:
            raise ValueError(
                f"this took longer than the {self.seconds:g} s that a request may take"
            )


def decode_upload(
    source: str | Path, target: str | Path, name: str, max_seconds: float
) -> AudioInfo:
    """Turns an upload into a WAV file that can be trusted, without loss.

    The header is checked before anything is decoded, and, since a header can lie, the
    limits again while decoding. Memory does not grow with the length.

    Arguments
    ---------
    source : str | Path
        File of a visitor.
    target : str | Path
        WAV file to make, with the source's rate and channels.
    name : str
        What messages call the source; they never hold its path.
    max_seconds : float
        Longest signal that is accepted [s].

    Returns
    -------
    AudioInfo
        What the source's header says.

    Raises
    ------
    ValueError
        If the file is not audio within the limits, is empty or is not finite; nothing
        is left then.

    Example
    -------
    >>> import soundfile
    >>> path = Path(getfixture("tmp_path")) / "long.flac"
    >>> soundfile.write(path, np.zeros(9000), 4000)
    >>> decode_upload(path, path.with_suffix(".wav"), "the upload", max_seconds=2.0)
    Traceback (most recent call last):
    ValueError: the upload lasts more than 2 s, the longest that is accepted here
    """
    try:
        info = check_audio(source)
        if info.num_frames != UNKNOWN_LENGTH:
            _check_length(info.num_frames, info, name, max_seconds)
        subtype = info.subtype if info.subtype in EXACT_SUBTYPES else "FLOAT"
        num_frames = 0
        with new_audio_file(target, info._replace(subtype=subtype)) as file:
            # A generator left half-way would keep the upload open.
            with closing(read_blocks(source)) as blocks:
                for block in blocks:
                    num_frames += block.shape[-1]
                    _check_length(num_frames, info, name, max_seconds)
                    if not np.isfinite(block).all():
                        raise ValueError(f"{name} holds NaN or infinite samples")
                    file.write(block.T)
            if num_frames == 0:
                raise ValueError(f"{name} has no sample")
    except ValueError as error:
        # Visitors are not told where the server keeps its files.
        message = str(error).replace(str(source), name).replace(str(target), name)
        raise ValueError(message) from error
    return info


class RefuseAddresses:
    """ASGI middleware: answers 403 to a request whose path holds another's address.

    Gradio's file route would fetch it for the visitor: anybody's open proxy.

    Arguments
    ---------
    app : Callable[..., Awaitable[None]]
        The ASGI application to protect.

    Example
    -------
    >>> import asyncio
    >>> answers = []
    >>> async def send(message):
    ...     answers.append(message.get("status"))
    >>> scope = {"type": "http", "path": "/gradio_api/file=http://10.0.0.1/"}
    >>> asyncio.run(RefuseAddresses(None)(scope, None, send))
    >>> answers
    [403, None]
    """

    def __init__(self, app: Callable[..., Awaitable[None]]):
        self.app = app

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Answers or passes on one request, as ASGI says.

        Arguments
        ---------
        scope : MutableMapping[str, Any]
            The connection.
        receive : Callable[[], Awaitable[Any]]
            Gives the next event.
        send : Callable[[Any], Awaitable[None]]
            Takes the next event.
        """
        if ADDRESS.search(scope.get("path", "")) is None:
            await self.app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b"addresses are not fetched"})


def _check_length(
    num_frames: int, info: AudioInfo, name: str, max_seconds: float
) -> None:
    if num_frames > max_seconds * info.sample_rate:
        raise ValueError(
            f"{name} lasts more than {max_seconds:g} s, the longest that is accepted "
            "here"
        )
    if num_frames * info.channels > MAX_SAMPLES:
        raise ValueError(
            f"{name} holds more than {MAX_SAMPLES} samples in its {info.channels} "
            "channels, the most that is accepted here"
        )
