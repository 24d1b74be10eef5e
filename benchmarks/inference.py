"""Inference with a model folder: real-time factor, memory, start-up, and windows.

To measure the shipped model and keep the result::

    python benchmarks/inference.py --output benchmarks/results/inference-NAME.md

The case "windows" needs recordings: folders of clean speech and of noise at 16 kHz.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch
from report import conditions, emit, table

from sesame.inference import Enhancer, long_audio
from sesame.metrics import pesq_wb, si_sdr

ROOT = Path(__file__).resolve().parent.parent
RATE = 16000  # Hz
EXCERPT = 8 * RATE
LONG = 300  # seconds
SEAM = RATE // 2  # samples on either side of a seam
RUN = """
import json, sys, time
import torch
from sesame.inference import Enhancer
model, source, target, threads, repeats = sys.argv[1:]
torch.set_num_threads(int(threads))
enhancer = Enhancer.from_pretrained(model, "cpu")
times = []
for _ in range(int(repeats)):
    start = time.perf_counter()
    enhancer.enhance_file(source, target, overwrite=True)
    times.append(time.perf_counter() - start)
# Not ru_maxrss, which holds the peak of the process that this one was forked from.
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps({"times": times, "peak": peak / 1024}))
"""


def main():
    """Runs the cases and reports."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--model", default=str(ROOT / "pretrained" / "sesame-small"))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", nargs="+", type=float, default=[2.0, 10.0, 60.0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--speech", default="../shared/data/speech/valid")
    parser.add_argument("--noise", default="../shared/data/noise/valid")
    parser.add_argument("--output", help="new Markdown file")
    options = parser.parse_args()
    sections = ["# Inference", conditions()]
    sections += [CASES[name](options) for name in options.cases]
    emit("\n\n".join(sections), options.output)


def speed(options):
    """Real-time factor and peak memory of whole processes."""
    rows = []
    for threads in options.threads:
        for seconds in options.seconds:
            runs = options.repeats + 1 if seconds < LONG else 1
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder, "noisy.wav")
                noise = np.random.default_rng(0).normal(0, 0.05, int(seconds * RATE))
                soundfile.write(source, noise, RATE)
                target = str(Path(folder, "enhanced.wav"))
                arguments = [options.model, str(source), target]
                done = _python("-c", RUN, *arguments, str(threads), str(runs))
            result = json.loads(done)
            # The first run warms up, where there are more.
            times = result["times"][1:] or result["times"]
            median = statistics.median(times)
            rows.append(
                [
                    f"{threads} threads, {seconds:g} s",
                    f"{median:.3f}",
                    f"{median / seconds:.3f}",
                    f"{max(times) / seconds:.3f}",
                    f"{result['peak']:.0f}",
                ]
            )
    header = ["", "median [s]", "RTF", "worst RTF", "peak memory [MB]"]
    return (
        f"## Speed and memory\n\n`enhance_file`, mono, {RATE} Hz, {options.repeats} "
        f"runs after one (a single one from {LONG} s on). Real-time factor: time over "
        "length. Memory: peak resident set of the process.\n\n" + table(header, rows)
    )


def start_up(options):
    """Time until a process has done its least work."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "noisy.wav"), Path(folder, "enhanced.wav")
        soundfile.write(source, np.full(RATE, 0.01), RATE)
        enhance = ["enhance", str(source), "-o", str(target), "--force", "--device"]
        cases = {
            "`sesame --help`": ["--help"],
            "`sesame enhance`, a file of 1 s": [*enhance, "cpu"],
        }
        rows = []
        for name, arguments in cases.items():
            times = []
            for _ in range(options.repeats + 1):
                timer = "import sys,time; t=time.perf_counter(); " + (
                    "import subprocess; subprocess.run(sys.argv[1:], check=True, "
                    "capture_output=True); print(time.perf_counter()-t)"
                )
                command = [sys.executable, "-m", "sesame.inference.cli", *arguments]
                times.append(float(_python("-c", timer, *command)))
            rows.append([name, f"{statistics.median(times[1:]):.3f}"])
    return "## Start-up\n\n" + table(["whole process", "median [s]"], rows)


def windows(options):
    """What windows make of a long recording, against one pass."""
    enhancer = Enhancer.from_pretrained(options.model, "cpu")
    rows = []
    for seconds in options.seconds:
        if seconds <= long_audio.WHOLE_SECONDS:
            continue
        length = int(seconds * RATE)
        clean = _joined(options.speech, length)
        noise = _joined(options.noise, length)
        noisy = clean + noise * np.sqrt(np.mean(clean**2) / np.mean(noise**2)) * 0.3
        in_windows = enhancer(noisy, RATE)
        whole, long_audio.WHOLE_SECONDS = long_audio.WHOLE_SECONDS, seconds
        one_pass = enhancer(noisy, RATE)
        long_audio.WHOLE_SECONDS = whole
        difference = in_windows - one_pass
        window = long_audio.WINDOW_SECONDS
        step = window - 2 * long_audio.CONTEXT_SECONDS - long_audio.FADE_SECONDS
        middle = window - long_audio.CONTEXT_SECONDS - long_audio.FADE_SECONDS / 2
        seams = np.arange(middle * RATE, length - window * RATE / 2, step * RATE)
        at_seams = [difference[int(s) - SEAM : int(s) + SEAM] for s in seams]
        rows += [
            [f"{seconds:g} s: noisy", *_quality(noisy, clean), "", "", ""],
            [f"{seconds:g} s: one pass", *_quality(one_pass, clean), "", "", ""],
            [
                f"{seconds:g} s: windows",
                *_quality(in_windows, clean),
                _decibels(difference, one_pass),
                _decibels(np.concatenate(at_seams), one_pass),
                _decibels(max(at_seams, key=lambda d: np.mean(d**2)), one_pass),
            ],
        ]
    header = ["", "SI-SDR [dB]", "PESQ", "all [dB]", "at seams [dB]", "worst seam [dB]"]
    return (
        "## Windows against one pass\n\nReal speech and noise, one file after the "
        "other, 10.5 dB SNR. Quality against the clean speech (PESQ: mean over 8 s "
        "each); energy of the difference from one pass over the energy of that, of all "
        f"and within {SEAM / RATE:g} s of the middle of a fade.\n\n"
        + table(header, rows)
    )


def _python(*arguments):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _joined(folder, length):
    files = sorted(p for p in Path(folder).rglob("*") if p.suffix in (".flac", ".ogg"))
    signals = []
    while sum(map(len, signals)) < length:
        signals.append(soundfile.read(files[len(signals) % len(files)])[0])
    return np.concatenate(signals)[:length]


def _quality(estimate, clean):
    starts = range(0, len(clean) - EXCERPT + 1, EXCERPT)
    excerpts = [slice(start, start + EXCERPT) for start in starts]
    pesq = [pesq_wb(estimate[e], clean[e], RATE).value for e in excerpts]
    return f"{si_sdr(estimate, clean, RATE).value:.2f}", f"{np.nanmean(pesq):.3f}"


def _decibels(error, signal):
    return f"{10 * np.log10(np.mean(error**2) / np.mean(signal**2)):.1f}"


CASES = {"speed": speed, "start-up": start_up, "windows": windows}

if __name__ == "__main__":
    torch.manual_seed(0)
    main()
