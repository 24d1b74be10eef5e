"""Measured again on the files that were written: SNRs, and spectra of SSN."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from sesame.data.speech_shaped_noise import spectral_distance_db
from sesame.data.vb_demandex.building import TABLE, pair_paths, read_settings
from sesame.data.vb_demandex.mixture import (
    SPEECH_SHAPED,
    measured_snr,
    read_talkers,
)
from sesame.data.vb_demandex.records import Record, noise_paths, read_records

SNR_TOLERANCE_DB = 0.1
SPECTRUM_TOLERANCE_DB = 1.5
# Two signals rounded to 16 bits, their difference: twice a twelfth of a step squared.
_ROUNDING_POWER = 2 / 12


class Check(NamedTuple):
    """What was measured on one pair of files.

    Arguments
    ---------
    item_id : str
        Id of the pair.
    split : str
        Its split.
    noise_type : str
        See ``Mixture``.
    snr_asked_db : float
        dB.
    snr_db : float
        Segmental SNR of the files, dB; NaN if it cannot be measured.
    spectral_distance_db : float
        Of SSN from its source, dB; NaN for other noise and without the source.
    problem : str
        What is wrong; empty if nothing is.

    Example
    -------
    >>> Check("a", "test", "ssn", 5.0, 5.01, 0.4, "").problem
    ''
    """

    item_id: str
    split: str
    noise_type: str
    snr_asked_db: float
    snr_db: float
    spectral_distance_db: float
    problem: str


def verify(folder: str | Path) -> list[Check]:
    """Measure a set that ``build`` wrote.

    The segmental SNR of each pair, from its 16-bit files, must be within 0.1 dB of the
    one asked for. The spectral envelope of speech-shaped noise (noisy minus clean) must
    be within 1.5 dB (root mean square over frequency) of that of the speech that the
    table names; the noise of rounding is taken into account, and a second of noise
    alone scatters by about half a dB. Where this speech is no longer at its place, the
    spectrum is not checked.

    Arguments
    ---------
    folder : str | Path
        The set.

    Returns
    -------
    list[Check]
        One for each row of mixtures.csv.

    Raises
    ------
    ValueError
        If the folder holds no complete set. What is wrong with a pair is told in its
        check.

    Example
    -------
    >>> from sesame.data.vb_demandex.building import build
    >>> from sesame.data.vb_demandex.planning import plan_mixtures
    >>> source, out = getfixture("tmp_path") / "in", getfixture("tmp_path") / "out"
    >>> source.mkdir()
    >>> for name in ("a_1", "b_1"):
    ...     noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    ...     soundfile.write(source / f"{name}.wav", noise, 16000)
    >>> _ = build(out, plan_mixtures(source, source, splits=["train"]))
    >>> [check.problem for check in verify(out)]
    ['', '']
    """
    folder = Path(folder)
    settings = read_settings(folder)
    rows = read_records(folder / TABLE)
    if not rows:
        raise ValueError(f"{folder / TABLE} is not there: the set is not complete")
    return [_check(folder, row, settings[row["split"]]) for row in rows]


def format_table(checks: Sequence[Check]) -> str:
    """Sum up checks in a table.

    Arguments
    ---------
    checks : Sequence[Check]
        See ``verify``.

    Returns
    -------
    str
        A row for each split and kind of noise in Markdown: pairs, mean and largest
        deviation of the SNR, mean and largest spectral distance, pairs with a problem.

    Example
    -------
    >>> print(format_table([Check("a", "test", "ssn", 5.0, 5.01, 0.4, "")]))
    | split | noise | pairs | SNR off, mean / max [dB] | ... | problems |
    |---|---|---|---|---|---|
    | test | ssn | 1 | 0.010 / 0.010 | 0.40 / 0.40 | 0 |
    """
    groups = defaultdict(list)
    for check in checks:
        groups[check.split, check.noise_type].append(check)
    lines = [
        "| split | noise | pairs | SNR off, mean / max [dB] | "
        "spectrum off, mean / max [dB] | problems |",
        "|---|---|---|---|---|---|",
    ]
    for (split, noise_type), group in groups.items():
        off = _mean_and_max((abs(row.snr_db - row.snr_asked_db) for row in group), 3)
        spectrum = _mean_and_max((row.spectral_distance_db for row in group), 2)
        problems = sum(bool(row.problem) for row in group)
        lines.append(
            f"| {split} | {noise_type} | {len(group)} | {off} | {spectrum} | "
            f"{problems} |"
        )
    return "\n".join(lines)


def _check(folder: Path, row: Record, settings: dict[str, Any]) -> Check:
    sample_rate = settings["sample_rate"]
    asked = float(row["snr_asked_db"])
    check = Check(
        row["id"], row["split"], row["noise_type"], asked, math.nan, math.nan, ""
    )
    try:
        clean, noisy = (
            _read_int16(path, sample_rate)
            for path in pair_paths(folder, row["split"], row["id"])
        )
        if not len(clean) == len(noisy) == int(row["num_samples"]):
            raise ValueError(
                f"lengths (clean {len(clean)}, noisy {len(noisy)}) must be "
                f"{row['num_samples']}"
            )
        check = check._replace(snr_db=measured_snr(noisy, clean, sample_rate))
        if not abs(check.snr_db - asked) <= SNR_TOLERANCE_DB:
            raise ValueError(f"SNR ({check.snr_db:.3f} dB) must be {asked} dB")
        if row["noise_type"] == SPEECH_SHAPED:
            distance = _spectral_distance(noisy, clean, row, settings)
            check = check._replace(spectral_distance_db=distance)
            if distance > SPECTRUM_TOLERANCE_DB:
                raise ValueError(f"spectrum is {distance:.2f} dB off its source")
    except ValueError as error:
        return check._replace(problem=str(error))
    return check


def _read_int16(path: Path, sample_rate: int) -> np.ndarray:
    try:
        samples, rate = soundfile.read(path, dtype="int16")
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if rate != sample_rate or samples.ndim != 1 or len(samples) == 0:
        raise ValueError(f"{path} must be mono at {sample_rate} Hz and not empty")
    return samples


def _spectral_distance(
    noisy: np.ndarray, clean: np.ndarray, row: Record, settings: dict[str, Any]
) -> float:
    paths = noise_paths(row, settings["roots"])
    if not all(Path(path).is_file() for path in paths):
        return math.nan
    speech = np.concatenate(read_talkers(paths, settings["sample_rate"]))
    noise = noisy.astype(np.float64) - clean
    return spectral_distance_db(noise, speech, floor_power=_ROUNDING_POWER)


def _mean_and_max(values: Iterable[float], digits: int) -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    return f"{sum(known) / len(known):.{digits}f} / {max(known):.{digits}f}"
