"""Time and memory of every system in ``hparams/``, as multiples of MP-SENet's."""

import statistics
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from cases import enhance, training_step
from measure import Samples, interleave, peak_memory, ratio
from report import table
from systems import HPARAMS, System, load_system

from sesame.inference import Enhancer
from sesame.inference.audio_files import read_audio
from sesame.inference.audio_search import is_audio

__all__ = ["system_costs"]

YARDSTICK = "mp_senet"


def system_costs(options) -> str:
    """Inference, a training step and, for each set that was named, all of its files."""
    systems = _load(options)
    length = options.seconds[0]
    noisy = {
        name: _noise(system, length, options.device) for name, system in systems.items()
    }
    sections = [
        f"## Systems, {length:g} s, float32",
        "Batch of 1, all systems in turn. Training step: forward, squares of the "
        "outputs and the routing losses, backward, AdamW. Peak: what torch allocates "
        "during a call.",
    ]
    for title, make in (("inference", enhance), ("training step", training_step)):
        cases = {}
        for name, system in systems.items():
            system.network.train(title != "inference")
            cases[name] = make(system.network, system.transform, noisy[name])
        samples = interleave(cases, options.repeats, device=options.device)
        peaks = {name: peak_memory(c, options.device) for name, c in cases.items()}
        sections += [f"### {title}", _cost_table(samples, peaks)]
    for text in options.sets:
        sections.append(_set_section(systems, text, options))
    return "\n\n".join(sections)


def _load(options) -> dict[str, System]:
    """The systems by name, the yardstick first."""
    paths = {path.stem: path for path in HPARAMS}
    chosen = list(paths) if options.systems is None else options.systems
    unknown = [name for name in chosen if name not in paths]
    if unknown:
        raise ValueError(f"systems ({unknown}) must be among {list(paths)}")
    systems = {}
    for name in dict.fromkeys([YARDSTICK, *chosen]):
        system = load_system(paths[name], tiny=options.quick)
        systems[name] = system._replace(
            network=system.network.to(options.device),
            transform=system.transform.to(options.device),
        )
    return systems


def _noise(system: System, length: float, device: str) -> torch.Tensor:
    return 0.1 * torch.randn(1, round(length * system.sample_rate), device=device)


def _cost_table(samples: Mapping[str, Samples], peaks: Mapping[str, int]) -> str:
    rows = []
    for name, case in samples.items():
        clock, processor = ratio(case, samples[YARDSTICK])
        rows.append(
            [
                name,
                str(len(case.seconds)),
                f"{statistics.median(case.seconds):.4g}",
                f"{min(case.seconds):.4g} to {max(case.seconds):.4g}",
                f"{statistics.median(case.processor_seconds):.4g}",
                f"{clock:.2f}",
                f"{processor:.2f}",
                f"{peaks[name] / 1e6:.1f}",
            ]
        )
    header = ["system", "runs", "median s", "range s", "processor s"]
    header += [f"clock / {YARDSTICK}", f"processor / {YARDSTICK}", "peak MB"]
    return table(header, rows)


def _set_section(systems: Mapping[str, System], text: str, options) -> str:
    """All files of a set once, each by all systems in turn."""
    title, _, folder = text.partition("=")
    paths = sorted(path for path in Path(folder).rglob("*") if is_audio(path))
    if not (title and folder and paths):
        raise ValueError(f"--set ({text}) must be NAME=FOLDER, with audio files in it")
    paths = paths[:2] if options.quick else paths
    totals, length = _enhance_files(systems, paths, options)
    yardstick = sum(totals[YARDSTICK].seconds)
    rows = []
    for name, case in totals.items():
        seconds = sum(case.seconds)
        rows.append(
            [
                name,
                f"{seconds:.4g}",
                f"{sum(case.processor_seconds):.4g}",
                f"{seconds / length:.3g}",
                f"{seconds / yardstick:.2f}",
            ]
        )
    header = ["system", "s", "processor s", "s per s of audio", f"clock / {YARDSTICK}"]
    return "\n\n".join(
        [
            f"### inference of the set {title}: {len(paths)} files, {length:.1f} s",
            "Waveform to waveform with resampling and windows, without reading and "
            "writing; every file once, by all systems in turn.",
            table(header, rows),
        ]
    )


def _enhance_files(systems: Mapping[str, System], paths: list[Path], options):
    """Measurements of each system, one per file, and the seconds of audio."""
    enhancers = {
        name: Enhancer(s.network, s.transform, s.sample_rate, options.device)
        for name, s in systems.items()
    }
    totals = {name: Samples() for name in systems}
    length = 0.0
    for path in paths:
        audio = read_audio(path)
        waveform = audio.waveform.astype(np.float32)
        if options.quick:
            waveform = waveform[:, : audio.sample_rate // 10]
        length += waveform.shape[1] / audio.sample_rate
        cases = {
            name: partial(enhancer, waveform, audio.sample_rate)
            for name, enhancer in enhancers.items()
        }
        warmup = int(path == paths[0])
        for name, case in interleave(cases, 1, warmup, options.device).items():
            totals[name].seconds += case.seconds
            totals[name].processor_seconds += case.processor_seconds
    return totals, length
