"""The process that ``utmos`` starts: waveforms in, scores out, until its input ends.

Each waveform is its number of samples (8 bytes, little-endian) and that many float32;
each answer is a line of JSON, ``{"score": value}`` or ``{"error": reason}``.
"""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np

SAMPLE_RATE = 16000


def serve(
    score: Callable[[np.ndarray], float], requests: BinaryIO, answers: TextIO
) -> None:
    """Answers waveforms until there are no more; an error is an answer, too.

    Arguments
    ---------
    score : Callable[[np.ndarray], float]
        Waveform (L,) -> value.
    requests : BinaryIO
        Stream of waveforms.
    answers : TextIO
        Stream of JSON lines.

    Example
    -------
    >>> import io
    >>> request = (2).to_bytes(8, "little") + np.array([0.5, 1], "<f4").tobytes()
    >>> serve(lambda waveform: waveform.sum(), io.BytesIO(request), sys.stdout)
    {"score": 1.5}
    """
    while header := requests.read(8):
        length = int.from_bytes(header, "little")
        waveform = np.frombuffer(requests.read(4 * length), "<f4")
        try:
            answer = {"score": float(score(waveform))}
        except Exception as error:  # foreign code can raise anything
            line = str(error).strip().partition("\n")[0].rstrip()
            answer = {"error": f"{type(error).__name__}: {line}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _main(repo: str, weights: str) -> None:
    # What the foreign code prints must not get among the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        score = _load(repo, weights)
    except Exception as error:
        failure = error

        def score(waveform: np.ndarray) -> float:
            raise failure

    serve(score, sys.stdin.buffer, answers)


def _load(repo: str, weights: str) -> Callable[[np.ndarray], float]:
    import torch

    # The repository's package may have no __init__.py; then an installed speechmos,
    # another project, would win wherever the two stand on the path.
    package = types.ModuleType("speechmos")
    package.__path__ = [str(Path(repo, "speechmos"))]
    sys.modules["speechmos"] = package
    # Without ``pretrained=False`` it would download.
    network = torch.hub.load(repo, "utmos22_strong", source="local", pretrained=False)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict(state, strict=True)
    network.eval()

    def score(waveform: np.ndarray) -> float:
        with torch.inference_mode():
            batch = torch.from_numpy(waveform.copy())[None]
            return network(batch, SAMPLE_RATE).item()

    return score


if __name__ == "__main__":
    _main(*sys.argv[1:])
