"""Scores of a system on a test set, beside the noisy ones and published numbers.

FOLDER is a model folder (``config.json``, ``model.safetensors``), whose model enhances
the noisy files, or a results folder of ``train.py``, whose ``enhanced_wavs`` are
scored as they are. TEST holds ``clean_testset_wav`` and ``noisy_testset_wav``, or
``clean`` and ``noisy``::

    python benchmarks/quality.py pretrained/sesame_small data/voicebank_demand \\
        --output benchmarks/results/quality-2026-11-21.md

A SEFlow can be scored at several sizes, which are then the rows of the table::

    python benchmarks/quality.py MODEL TEST --sizes 1:6 0.5:3 0.125:4 --output FILE
"""

import argparse
from fractions import Fraction
from pathlib import Path

import soundfile
from report import conditions, emit, parse_size, table

from sesame.brain.scoring import as_stored
from sesame.data.pairs import match_pairs
from sesame.inference import Enhancer
from sesame.inference.flow_enhancer import FlowEnhancer
from sesame.inference.flow_sizes import count_parameters, native_rate
from sesame.inference.model_folder import load_seflow_folder, names_seflow
from sesame.metrics import VARIANTS, score_pairs, summarize
from sesame.models.seflow import SEFlow

FOLDER_NAMES = (("clean_testset_wav", "noisy_testset_wav"), ("clean", "noisy"))
METRICS = ("pesq", "stoi", "estoi", "si_sdr", "ssnr")
COMPOSITES = ("csig", "cbak", "covl")
# Columns of the table of sizes, with their decimals.
SIZE_METRICS = {"pesq": 3, "stoi": 4, "estoi": 4, "si_sdr": 2, "ssnr": 2}
ENHANCED_NOW = "by the model now, rounded to 16 bits as in files"
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
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=parse_size,
        metavar="WIDTH:DEPTH",
        help="of a SEFlow, such as 1:8 0.125:4",
    )
    parser.add_argument("--output", help="new Markdown file")
    parser.add_argument("--quick", action="store_true", help="the first file only")
    options = parser.parse_args()
    clean_folder, noisy_folder = test_folders(options.test)
    pairs = match_pairs(noisy_folder, clean_folder)
    pairs = pairs[: 1 if options.quick else options.limit]
    noisy = [_read(pair.noisy) for pair in pairs]
    rows = {"noisy": score(pairs, noisy, options.num_workers)}
    if options.sizes is None:
        enhanced, source = enhanced_signals(options.folder, pairs, options.device)
        rows["enhanced"] = score(pairs, enhanced, options.num_workers)
        scores = scores_table(rows)
    else:
        source = ENHANCED_NOW
        network = load_seflow_folder(options.folder)
        for size in options.sizes:
            enhancer = FlowEnhancer(network, options.device, *size)
            enhanced = [_enhance(enhancer, *signal) for signal in noisy]
            rows[size] = score(pairs, enhanced, options.num_workers)
        scores = sizes_table(network, noisy[0][1], rows)
    sections = [
        f"# Quality of {options.folder.name}",
        conditions(),
        f"- enhanced: {source}\n- test files: {len(pairs)}",
        scores,
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
        kind = FlowEnhancer if names_seflow(folder) else Enhancer
        enhancer = kind.from_pretrained(folder, device=device)
        enhanced = [_enhance(enhancer, *_read(pair.noisy)) for pair in pairs]
        return enhanced, ENHANCED_NOW
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


def sizes_table(network: SEFlow, sample_rate: int, systems: dict) -> str:
    """A row for the noisy files and for each size, with what it costs.

    Arguments
    ---------
    network : SEFlow
        The network.
    sample_rate : int
        Of the test files, Hz.
    systems : dict
        Rows of scores by "noisy" or by width and depth.

    Returns
    -------
    str
        Markdown; below the table, where a mean leaves out files.
    """
    lines, notes = [], []
    for system, scored in systems.items():
        name, cells = system, ["", ""]
        if system != "noisy":
            width, depth = system
            channels, depth = network.size(width, depth)
            name = f"width {width:g}, depth {depth}"
            share = Fraction(channels, network.width)
            macs = network.macs_per_second(native_rate(sample_rate), width, depth)
            counts = count_parameters(network, share)
            cells = [f"{counts[depth - 1]:,}", f"{macs / 1e9:.3f}"]
        for metric, entry in summarize(scored, tuple(SIZE_METRICS)).items():
            digits, counted = SIZE_METRICS[metric], entry["n_scored"]
            cells.append(f"{entry['mean']:.{digits}f}" if counted else "n/a")
            if counted < entry["n_total"]:
                notes.append(f"{name}: {metric} of {counted} of {entry['n_total']}")
        lines.append([name, *cells])
    header = ["system", "parameters", f"GMAC/s at {sample_rate} Hz", *SIZE_METRICS]
    return "\n\n".join([table(header, lines), *notes])


def _enhance(enhancer: Enhancer | FlowEnhancer, waveform, rate):
    return as_stored(enhancer(waveform, rate), rate), rate


def _label(metric: str, variant: str) -> str:
    if metric not in COMPOSITES:
        return metric
    return f"{metric} ({variant}, {SCALES[variant]} scale)"


def _read(path: Path):
    waveform, rate = soundfile.read(path, dtype="float32")
    return waveform, rate


if __name__ == "__main__":
    main()
