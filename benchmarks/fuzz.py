"""Broken audio files through `sesame enhance`: no crash, no hang, no NaN.

Changes headers and bodies of WAV and FLAC files at random and enhances each in this
process, with a tiny untrained network. Ends with an error if a file brings down the
process, takes too long, raises, or gives an output that is not finite::

    python benchmarks/fuzz.py --files 2000 --output benchmarks/results/fuzz-NAME.md
"""

import argparse
import collections
import contextlib
import io
import random
import resource
import signal
import struct
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from report import conditions, emit, table

from sesame.inference import save_model_folder
from sesame.inference.cli import main as sesame
from sesame.models import SESAME

TIMEOUT = 20  # seconds
HEADER = 128  # bytes at the beginning that are changed more often than the rest
EXTREMES = (0, 1, 2, 255, 65535, 2**15, 2**31 - 1, 2**31, 2**32 - 1)
ARGUMENTS = {"num_bins": 33, "channels": 4, "num_blocks": 1, "num_heads": 1}
ARGUMENTS |= {"dense_depth": 1, "moe_blocks": [0], "noise_context_dim": 2}
TRANSFORM = {"n_fft": 64, "hop_length": 32, "win_length": 64, "exponent": 0.3}
KINDS = [
    ("wav", "PCM_16", 1, 16000),
    ("wav", "FLOAT", 2, 44100),
    ("wav", "PCM_24", 3, 48000),
    ("wav", "MS_ADPCM", 2, 22050),
    ("flac", "PCM_16", 1, 16000),
    ("flac", "PCM_24", 2, 96000),
]


def main():
    """Enhances broken files and reports what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="new Markdown file")
    parser.add_argument("--quick", action="store_true", help="60 files")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(options.seed)
    number = 60 if options.quick else options.files
    outcomes, slowest = collections.Counter(), 0.0
    signal.signal(signal.SIGALRM, _time_out)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = SESAME(**ARGUMENTS).state_dict()
        save_model_folder(
            folder / "model", "SESAME", ARGUMENTS, TRANSFORM, 16000, network
        )
        whole = _whole_files(folder)
        for index in range(number):
            kind = rng.randrange(len(whole))
            suffix = KINDS[kind][0]
            source = folder / f"{index}.{suffix}"
            source.write_bytes(_broken(whole[kind], whole, rng))
            start = time.perf_counter()
            outcome = _enhance(source, folder)
            slowest = max(slowest, time.perf_counter() - start)
            outcomes[suffix, outcome] += 1
            source.unlink()
        left = sorted(p.name for p in folder.iterdir() if p.name != "model")
    assert not left, f"files are left: {left}"
    names = sorted({outcome for _, outcome in outcomes})
    rows = [
        [suffix, *(str(outcomes[suffix, outcome]) for outcome in names)]
        for suffix in ("wav", "flac")
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    text = (
        f"{number} files, seed {options.seed}: no crash, no exception, no hang, every "
        f"output finite, nothing left behind. Slowest file {slowest:.2f} s, peak "
        f"memory of the process {peak:.0f} MB."
    )
    sections = ["# Broken files", conditions(), text, table(["", *names], rows)]
    emit("\n\n".join(sections), options.output)


def _enhance(source, folder):
    """What became of a file: "refused", "enhanced" or "enhanced with a warning"."""
    target = folder / f"enhanced{source.suffix}"
    errors = io.StringIO()
    arguments = ["enhance", str(source), "-o", str(target), "--device", "cpu"]
    arguments += ["--model", str(folder / "model")]
    signal.alarm(TIMEOUT)
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = sesame(arguments)
    signal.alarm(0)
    said = errors.getvalue()
    if code == 1:
        assert not target.exists(), "a refused file has an output"
        assert source.name in said, f"the message does not name the file: {said}"
        return "refused"
    assert code == 0, f"exit code {code}: {said}"
    before, after = soundfile.info(source), soundfile.info(target)
    assert (before.samplerate, before.channels) == (after.samplerate, after.channels)
    # libsndfile does not read all files without samples that it writes.
    samples, _ = soundfile.read(target, always_2d=True)
    assert np.isfinite(samples).all(), "an output is not finite"
    target.unlink()
    return "enhanced with a warning" if "header says" in said else "enhanced"


def _whole_files(folder):
    rng = np.random.default_rng(0)
    contents = []
    for suffix, subtype, channels, rate in KINDS:
        path = folder / f"whole.{suffix}"
        samples = 0.2 * rng.standard_normal((rng.integers(200, 3000), channels))
        soundfile.write(path, samples, rate, subtype)
        contents.append(path.read_bytes())
        path.unlink()
    return contents


def _broken(content, others, rng):
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        rng.choice((_flip, _flip, _overwrite, _overwrite, _cut, _insert, _splice))(
            content, others, rng
        )
    return bytes(content)


def _place(content, rng):
    header = rng.random() < 0.7
    return rng.randrange(max(1, min(HEADER, len(content)) if header else len(content)))


def _flip(content, _, rng):
    if content:
        content[_place(content, rng)] ^= 1 << rng.randrange(8)


def _overwrite(content, _, rng):
    """A number at the edge of what a field can hold, or bytes of no meaning."""
    place = _place(content, rng)
    value = struct.pack(rng.choice("<>") + "I", rng.choice(EXTREMES))
    if rng.random() < 0.3:
        value = rng.randbytes(rng.randrange(1, 40))
    content[place : place + len(value)] = value


def _cut(content, _, rng):
    del content[_place(content, rng) :]


def _insert(content, _, rng):
    place = _place(content, rng)
    content[place:place] = rng.randbytes(rng.randrange(1, 100))


def _splice(content, others, rng):
    other = rng.choice(others)
    content[_place(content, rng) :] = other[rng.randrange(len(other)) :]


def _time_out(*_):
    raise TimeoutError(f"a file took more than {TIMEOUT} s")


if __name__ == "__main__":
    main()
