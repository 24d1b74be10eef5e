"""From a microphone to a loudspeaker, while somebody speaks."""

import time
from importlib import import_module
from types import ModuleType

import numpy as np

from .file_streaming import block_length
from .streaming_enhancer import StreamingEnhancer

__all__ = ["import_sounddevice", "run_live"]


def run_live(
    enhancer: StreamingEnhancer, block_ms: float = 20.0, seconds: float | None = None
) -> list[float]:
    """Enhances what the default microphone hears, into the default loudspeaker.

    Arguments
    ---------
    enhancer : StreamingEnhancer
        For blocks (n,), without a far end.
    block_ms : float
        Length of a block [ms].
    seconds : float | None
        After so many it ends [s]; ``None``: at Ctrl-C.

    Returns
    -------
    list[float]
        What each block took to enhance [s].

    Raises
    ------
    ImportError
        If sounddevice or its library is not installed.
    ValueError
        If there is no device that takes this sampling rate, the enhancer wants other
        blocks, or a length is out of its range.

    Example
    -------
    >>> from sesame.models.seflow import SEFlow
    >>> network = SEFlow(width=8, depth=1, head_channels=4)
    >>> run_live(StreamingEnhancer(network, 16000, far_end=True))
    Traceback (most recent call last):
    ValueError: far_end (True) must be False where a microphone is all there is
    """
    if enhancer.far_end:
        raise ValueError(
            "far_end (True) must be False where a microphone is all there is"
        )
    if enhancer.channels is not None:
        raise ValueError(f"channels ({enhancer.channels}) must be None")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds ({seconds}) must be positive")
    rate = enhancer.sample_rate
    size = block_length(block_ms, rate)
    device = import_sounddevice()
    times: list[float] = []
    try:
        with device.Stream(
            samplerate=rate, blocksize=size, channels=1, dtype="float32"
        ) as stream:
            while seconds is None or len(times) * size < seconds * rate:
                recorded, _ = stream.read(size)
                start = time.perf_counter()
                # Of what a driver may give, a gap is better than an end.
                enhanced = enhancer.push(
                    np.nan_to_num(recorded[:, 0], posinf=0, neginf=0)
                )
                times.append(time.perf_counter() - start)
                if len(enhanced):
                    stream.write(enhanced.clip(-1, 1)[:, None])
    except KeyboardInterrupt:
        # The way to end it.
        pass
    except device.PortAudioError as error:
        raise ValueError(
            f"no microphone and loudspeaker can be used at {rate} Hz: {error}"
        ) from error
    return times


def import_sounddevice() -> ModuleType:
    """Imports the package that talks to microphones and loudspeakers.

    Returns
    -------
    ModuleType
        sounddevice.

    Raises
    ------
    ImportError
        If it, or the library PortAudio, is not there; says how to install it.
    """
    try:
        return import_module("sounddevice")
    except ImportError as error:
        raise ImportError("sounddevice is missing: pip install '.[live]'") from error
    # What it raises without the library that it binds.
    except OSError as error:
        raise ImportError(
            f"sounddevice cannot be used ({error}): install PortAudio, such as the "
            "package libportaudio2"
        ) from error
