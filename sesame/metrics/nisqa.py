"""NISQA: a predicted opinion score without a reference, through torchmetrics."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .score import Score, check_estimate

if TYPE_CHECKING:
    import torch

LICENCE = "the weights of NISQA are CC BY-NC-SA 4.0: not for commercial use"
MISSING_PACKAGE = (
    "package torchmetrics (with NISQA) or librosa is missing: pip install '.[nisqa]'"
)
MISSING_WEIGHTS = (
    "the weights are missing: download weights/nisqa.tar (CC BY-NC-SA 4.0) from "
    "https://github.com/gabrielmittag/NISQA and name it with --nisqa-weights FILE"
)


def nisqa(estimate: np.ndarray, sample_rate: int, weights: str | Path | None) -> Score:
    """NISQA v2, overall quality (MOS, 1 to 5), of one signal.

    The signal is heard at its own rate, up to 20 kHz, as the authors do. Too short
    and too long signals (about 0.2 s and 52 s) give NaN. The licence of the weights,
    CC BY-NC-SA 4.0, forbids commercial use. Not measured with the published weights
    here: tested with random ones of the same form.

    Shape: estimate (L,) -> value.
    Source: Mittag et al., Interspeech 2021; torchmetrics 1.9.0.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    sample_rate : int
        Hz.
    weights : str | Path | None
        The authors' ``nisqa.tar``; never downloaded.

    Returns
    -------
    Score
        MOS, or NaN with the reason.

    Example
    -------
    >>> nisqa(np.ones(16000), 16000, None).reason.partition(":")[0]
    'the weights are missing'
    """
    if weights is None:
        return Score.missing(MISSING_WEIGHTS)
    if not Path(weights).is_file():
        return Score.missing(f"there is no file {weights}: {MISSING_WEIGHTS}")
    samples, reason = check_estimate(estimate, sample_rate)
    if reason:
        return Score.missing(reason)
    try:
        import torch
        from torchmetrics.functional.audio import nisqa as theirs

        network, arguments = _network(str(weights))
        # Its public function takes the weights from a folder that it downloads to.
        spectrum = theirs._get_librosa_melspec(
            samples.astype(np.float32)[None], sample_rate, arguments
        )
        windows, count = theirs._segment_specs(torch.from_numpy(spectrum), arguments)
        with torch.inference_mode():
            answer = network(windows, count.expand(1))
    except (ImportError, AttributeError) as error:
        return Score.missing(f"{MISSING_PACKAGE} ({error})")
    except Exception as error:  # a foreign file can be wrong in any way
        return Score.failed("NISQA", error)
    return Score.measured(answer[0, 0].item(), "NISQA")


@functools.lru_cache(maxsize=1)
def _network(weights: str) -> tuple["torch.nn.Module", dict[str, Any]]:
    import torch
    from torchmetrics.functional.audio import nisqa as theirs

    checkpoint = torch.load(weights, map_location="cpu", weights_only=True)
    network = theirs._NISQADIM(checkpoint["args"])
    network.load_state_dict(checkpoint["model_state_dict"], strict=True)
    return network.eval(), checkpoint["args"]
