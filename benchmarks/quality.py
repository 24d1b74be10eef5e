"""Scores of a system on a test set, beside the noisy ones and published numbers.

FOLDER is a model folder (``config.json``, ``model.safetensors``), whose model enhances
the noisy files, or a results folder of ``train.py``, whose ``enhanced_wavs`` are
scored as they are. TEST holds ``clean_testset_wav`` and ``noisy_testset_wav``, or
``clean`` and ``noisy``::

    python benchmarks/quality.py pretrained/sesame_small data/voicebank_demand \\
        --output benchmarks/results/quality-2026-11-21.md
"""

import argparse
from pathlib import Path

import soundfile
from report import conditions, emit, table

from sesame.brain.scoring import as_stored
from sesame.data.pairs import match_pairs
from sesame.inference import Enhancer
from sesame.metrics import VARIANTS, score_pairs, summarize

FOLDER_NAMES = (("clean_testset_wav", "noisy_testset_wav"), ("clean", "noisy"))
METRICS = ("pesq", "stoi", "estoi", "si_sdr", "ssnr")
COMPOSITES = ("csig", "cbak", "covl")
SCALES = {"loizou": "int16", "cmgan": "float"}  # of the composites
PUBLISHED = """\
## Published, VoiceBank+DEMAND, all 824 files

| system | PESQ | CSIG | CBAK | COVL | SSNR | STOI | scale of the composites |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
| noisy | 1.97 | 3.35 | 2.44 | 2.63 | 1.68 | 0.92 | int16 (`loizou`) |
| noisy, arXiv:2609.35054 | | 3.49 | 2.55 | 2.74 | | | float (`cmgan`) |
| CMGAN | 3.41 | 4.63 | 3.94 | 4.12 | 11.10 | 0.96 | float (`cmgan`) |
| MP-SENet 2023 | 3.50 | 4.73 | 3.95 | 4.22 | | 0.96 | float (`cmgan`) |
| MP-SENet 2024 | 3.60 | 4.81 | 3.99 | 4.34 | | 0.96 | float (`cmgan`) |
| SEMamba | 3.55 | 4.77 | 3.95 | 4.29 | | 0.96 | float (`cmgan`) |

Trained on the whole corpus (11 572 pairs); most of these systems chose their best
epoch on the test set. Compare composites of one scale only.

On 25 of these files (speakers p232 and p257; PESQ / STOI / SI-SDR dB): noisy
2.192 / 0.9319 / 8.19, CMGAN's published outputs 3.515 / 0.9655 / 20.06."""


def main():
    """Enhances if needed, scores and reports."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="model folder or results folder")
    parser.add_argument("test", type=Path, help="folder of clean and noisy test files")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--num_workers", type=int, default=0, help="scoring processes")
    parser.add_argument("--limit", type=int, help="files to use, from the first")
    parser.add_argument("--output", help="new Markdown file")
    parser.add_argument("--quick", action="store_true", help="the first file only")
    options = parser.parse_args()
    clean_folder, noisy_folder = test_folders(options.test)
    pairs = match_pairs(noisy_folder, clean_folder)
    pairs = pairs[: 1 if options.quick else options.limit]
    enhanced, source = enhanced_signals(options.folder, pairs, options.device)
    systems = {
        "noisy": [_read(pair.noisy) for pair in pairs],
        "enhanced": enhanced,
    }
    rows = {
        name: score(pairs, signals, options.num_workers)
        for name, signals in systems.items()
    }
    sections = [
        f"# Quality of {options.folder.name}",
        conditions(),
        f"- enhanced: {source}\n- test files: {len(pairs)}",
        scores_table(rows),
        PUBLISHED,
    ]
    emit("\n\n".join(sections), options.output)


def test_folders(folder: Path) -> tuple[Path, Path]:
    """The clean and the noisy folder of a test set.

    Arguments
    ---------
    folder : Path
        Test set.

    Returns
    -------
    tuple[Path, Path]
        Clean, noisy.

    Raises
    ------
    ValueError
        If it has neither of the two layouts.
    """
    for clean, noisy in FOLDER_NAMES:
        if (folder / clean).is_dir() and (folder / noisy).is_dir():
            return folder / clean, folder / noisy
    raise ValueError(f"{folder} must hold one of {FOLDER_NAMES}")


def enhanced_signals(folder: Path, pairs, device: str):
    """Signals to score, (waveform, sample rate) or None each, and where they are from.

    Arguments
    ---------
    folder : Path
        Model folder or results folder.
    pairs : list[Pair]
        Test files.
    device : str
        Where a model runs.

    Returns
    -------
    tuple[list, str]
        Signals in the order of the pairs; a sentence.
    """
    if (folder / "config.json").is_file():
        enhancer = Enhancer.from_pretrained(folder, device=device)
        signals = [_read(pair.noisy) for pair in pairs]
        enhanced = [(as_stored(enhancer(x, rate), rate), rate) for x, rate in signals]
        return enhanced, "by the model now, rounded to 16 bits as in files"
    files = {path.stem: path for path in (folder / "enhanced_wavs").glob("*.wav")}
    if not files:
        raise ValueError(f"{folder} must hold config.json or enhanced_wavs/*.wav")
    names = [pair.item_id for pair in pairs]
    signals = [_read(files[name]) if name in files else None for name in names]
    return signals, "files of the training run's test"


def score(pairs, signals, num_workers: int) -> list[dict]:
    """Rows of scores, composites as ``csig_loizou``, ``csig_cmgan`` and so on.

    Arguments
    ---------
    pairs : list[Pair]
        Test files.
    signals : list[tuple[numpy.ndarray, int] | None]
        What is compared with the clean files.
    num_workers : int
        Processes.

    Returns
    -------
    list[dict]
        One row per file.

    Raises
    ------
    ValueError
        If the files have several sampling rates.
    """
    clean = [_read(pair.clean) for pair in pairs]
    rates = {signal[1] for signal in (*clean, *signals) if signal is not None}
    if len(rates) != 1:
        raise ValueError(f"test files must share one sampling rate, not {rates}")
    jobs = [
        (pair.item_id, signal and signal[0], target[0])
        for pair, signal, target in zip(pairs, signals, clean, strict=True)
    ]
    rows = [{} for _ in pairs]
    # Only the composites have variants: the other metrics are measured once.
    for variant, metrics in zip(
        VARIANTS, (METRICS + COMPOSITES, COMPOSITES), strict=True
    ):
        scored = score_pairs(jobs, rates.copy().pop(), metrics, variant, num_workers)
        for row, new in zip(rows, scored, strict=True):
            row |= {_label(name, variant): new[name] for name in metrics}
    return rows


def scores_table(systems: dict[str, list[dict]]) -> str:
    """Means of every metric and the number of files behind each.

    Arguments
    ---------
    systems : dict[str, list[dict]]
        Rows by name of the system.

    Returns
    -------
    str
        Markdown.
    """
    summaries = {name: summarize(rows) for name, rows in systems.items()}
    header = ["metric"]
    for name in systems:
        header += [name, "n scored / n total"]
    rows = []
    for metric in next(iter(summaries.values())):
        rows.append([metric])
        for summary in summaries.values():
            entry = summary[metric]
            mean = f"{entry['mean']:.4f}" if entry["n_scored"] else "n/a"
            rows[-1] += [mean, f"{entry['n_scored']} / {entry['n_total']}"]
    return table(header, rows)


def _label(metric: str, variant: str) -> str:
    if metric not in COMPOSITES:
        return metric
    return f"{metric} ({variant}, {SCALES[variant]} scale)"


def _read(path: Path):
    waveform, rate = soundfile.read(path, dtype="float32")
    return waveform, rate


if __name__ == "__main__":
    main()
