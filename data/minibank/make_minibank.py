"""Make the minibank corpus: a small VoiceBank+DEMAND look-alike of our own.

Voices come from espeak-ng, noises from ``noises.py``. The same seed and the same
espeak-ng give the same files. Needs the program ``espeak-ng`` (Debian:
``apt-get install espeak-ng``) to make the corpus, not to measure it.

    python data/minibank/make_minibank.py              # make it in place
    python data/minibank/make_minibank.py --measure    # PESQ of the noisy files
"""

import argparse
import io
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from noises import SAMPLE_RATE, rng_for, synthesize
from pesq import pesq
from scipy.signal import lfilter, resample_poly

SEED = 2024
SENTENCES = Path(__file__).with_name("sentences.txt")

TRAIN_KINDS = (
    "babble",
    "speech_shaped",
    "pink",
    "engine",
    "rain",
    "wind",
    "keyboard",
    "fan",
)
TEST_KINDS = ("cafe", "siren", "vacuum", "rails", "rain")
TRAIN_SNRS = (0.0, 5.0, 10.0, 15.0)
TEST_SNRS = (2.5, 7.5, 12.5, 17.5)

# Babble must not contain the voice to be enhanced, nor test talkers in training.
TRAIN_TALKERS = (
    "en+m5",
    "en+m8",
    "en-us+adam",
    "en+Lee",
    "en+belinda",
    "en+Alicia",
)
TEST_TALKERS = ("en+boris", "en-us+Andrea", "en-gb-scotland+m6", "en+steph")


class Speaker(NamedTuple):
    """A synthetic speaker: sex, espeak-ng voice, words per minute, pitch (0 to 99).

    Example
    -------
    >>> Speaker("F", "en+f2", 170, 52).voice
    'en+f2'
    """

    sex: str
    voice: str
    speed: int
    pitch: int


# British English is "en" here: espeak-ng 1.51 silently drops the variant of
# "en-gb+f2" and speaks with the plain male voice.
TRAIN_SPEAKERS = {
    "p301": Speaker("F", "en+f2", 170, 52),
    "p302": Speaker("M", "en-us+m1", 175, 45),
    "p303": Speaker("F", "en-us+f3", 180, 50),
    "p304": Speaker("M", "en-gb-scotland+m3", 172, 40),
    "p305": Speaker("F", "en-gb-x-rp+f4", 175, 50),
    "p306": Speaker("M", "en-gb-x-gbclan+m4", 180, 60),
    "p307": Speaker("F", "en-029+f1", 172, 58),
    "p308": Speaker("M", "en-us-nyc+m7", 185, 48),
}
VALID_SPEAKERS = {
    "p226": Speaker("M", "en-gb-x-gbcwmd+m2", 178, 50),
    "p287": Speaker("F", "en-us+f5", 175, 45),
}
TEST_SPEAKERS = {
    "p311": Speaker("M", "en-us+Alex", 175, 50),
    "p312": Speaker("F", "en-gb-x-rp+Annie", 178, 42),
}


def read_sentences(path: Path = SENTENCES) -> dict[str, str]:
    """Read the utterance names and their sentences, in the file's order.

    Arguments
    ---------
    path : pathlib.Path
        Text file with one ``name sentence`` per line.

    Returns
    -------
    dict
        Sentence of each utterance.

    Example
    -------
    >>> read_sentences()["p312_005"]
    'The child pointed at a giant orange balloon.'
    """
    lines = path.read_text(encoding="ascii").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def condition(index: int, kinds: tuple, snrs: tuple) -> tuple[str, float]:
    """Return the noise kind and the SNR [dB] of a split's index-th utterance.

    The pairs run through all combinations before one is repeated.

    Arguments
    ---------
    index : int
        Position of the utterance in its split, from 0.
    kinds : tuple of str
        Noise kinds of the split.
    snrs : tuple of float
        SNRs of the split [dB].

    Returns
    -------
    tuple of (str, float)
        Noise kind and SNR [dB].

    Example
    -------
    >>> [condition(i, ("pink", "rain"), (0.0, 5.0)) for i in range(4)]
    [('pink', 0.0), ('rain', 5.0), ('pink', 5.0), ('rain', 0.0)]
    """
    num_kinds = len(kinds)
    turn = index + index // num_kinds
    return kinds[index % num_kinds], snrs[turn % len(snrs)]


def speak(text: str, voice: str, speed: int, pitch: int) -> np.ndarray:
    """Synthesise a sentence with espeak-ng, without the silence around it.

    Arguments
    ---------
    text : str
        English sentence.
    voice : str
        Voice and variant of espeak-ng, for example ``"en-us+f3"``.
    speed : int
        Speed [words per minute].
    pitch : int
        Pitch, 0 to 99, 50 is the voice's own.

    Returns
    -------
    numpy.ndarray
        Speech at 16 kHz.

    Shape: (L,)

    Example
    -------
    >>> speak("Good morning.", "en+f2", 170, 50).ndim  # doctest: +SKIP
    1
    """
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch)]
    wav = subprocess.run(
        [*command, "--stdout", text], check=True, capture_output=True
    ).stdout
    speech, sample_rate = soundfile.read(io.BytesIO(wav))
    speech = resample_poly(speech, SAMPLE_RATE, sample_rate)
    loud = np.flatnonzero(np.abs(speech) > 0.003 * np.abs(speech).max())
    return speech[loud[0] : loud[-1] + 1]


def record(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put speech into a dry room and a microphone at a random level.

    Adds pauses of 0.1 to 0.2 s around it, a decaying tail 16 to 24 dB below the
    direct sound, a level of -32 to -20 dBFS (RMS) and a floor of -92 dBFS, so that
    no frame is digital silence.

    Arguments
    ---------
    speech : numpy.ndarray
        Dry speech at 16 kHz.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        Clean signal, longer than the speech.

    Shape: (L,) -> (L',)

    Example
    -------
    >>> clean = record(np.sin(np.arange(16000)), rng_for(0, "doc"))
    >>> bool(0.02 < clean.std() < 0.11)
    True
    """
    pauses = rng.uniform(0.1, 0.2, size=2) * SAMPLE_RATE
    padded = np.pad(speech, pauses.astype(int))
    decay = rng.uniform(0.01, 0.025)
    time = np.arange(int(8 * decay * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * np.exp(-time / decay)
    tail[: SAMPLE_RATE // 500] = 0
    tail *= 10 ** (-rng.uniform(16, 24) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    # espeak-ng is 7 dB brighter than recorded voices above 1 kHz.
    clean = lfilter([0.5], [1, -0.5], lfilter(tail, [1], padded))
    clean *= 10 ** (rng.uniform(-32, -20) / 20) / np.sqrt(np.mean(clean**2))
    return clean + 2.5e-5 * rng.standard_normal(len(clean))


def mix(
    clean: np.ndarray, noise: np.ndarray, snr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mix at an SNR over the whole utterance; both fit below a peak of 0.95.

    Arguments
    ---------
    clean : numpy.ndarray
        Clean signal.
    noise : numpy.ndarray
        Noise of the same length, at any level.
    snr : float
        Energy of the clean signal over that of the noise [dB].

    Returns
    -------
    tuple of (numpy.ndarray, numpy.ndarray)
        Clean and noisy signal, scaled alike.

    Shape: (L,), (L,) -> (L,), (L,)

    Example
    -------
    >>> clean, noisy = mix(np.ones(4), np.array([1.0, -1.0, 1.0, -1.0]), 20.0)
    >>> clean.round(3).tolist(), noisy.round(3).tolist()
    ([0.864, 0.864, 0.864, 0.864], [0.95, 0.777, 0.95, 0.777])
    """
    gain = np.sqrt(np.sum(clean**2) / np.sum(noise**2)) * 10 ** (-snr / 20)
    noisy = clean + gain * noise
    scale = min(1.0, 0.95 / max(np.abs(clean).max(), np.abs(noisy).max()))
    return scale * clean, scale * noisy


def make_corpus(folder: Path, seed: int = SEED) -> None:
    """Write the whole corpus: four folders of FLAC files and two logs.

    Arguments
    ---------
    folder : pathlib.Path
        Where to write; files of the same name are replaced.
    seed : int
        Seed of the corpus.

    Raises
    ------
    ValueError
        If an utterance is shorter than 2 s or longer than 4 s, or if espeak-ng
        ignores a voice's variant.

    Example
    -------
    >>> make_corpus(Path("minibank"))  # doctest: +SKIP
    """
    sentences = read_sentences()
    trainset = {**TRAIN_SPEAKERS, **VALID_SPEAKERS}
    for speaker in [*trainset.values(), *TEST_SPEAKERS.values()]:
        _check_variant(speaker.voice)
    for voice in TRAIN_TALKERS + TEST_TALKERS:
        _check_variant(voice)
    read_aloud = " ".join(
        text for name, text in sentences.items() if name[:4] in TRAIN_SPEAKERS
    )
    jobs = (
        ("trainset_28spk", "trainset", trainset, TRAIN_KINDS, TRAIN_SNRS),
        ("testset", "testset", TEST_SPEAKERS, TEST_KINDS, TEST_SNRS),
    )
    for subset, log, speakers, kinds, snrs in jobs:
        voices = TRAIN_TALKERS if log == "trainset" else TEST_TALKERS
        talkers = [speak(read_aloud, voice, 170, 50) for voice in voices]
        names = [name for name in sentences if name[:4] in speakers]
        lines = []
        for index, name in enumerate(names):
            kind, snr = condition(index, kinds, snrs)
            clean = _utterance(sentences[name], speakers[name[:4]], seed, name)
            rng = rng_for(seed, name, "noise")
            noise = synthesize(kind, rng, len(clean), talkers)
            for side, signal in zip(
                ("clean", "noisy"), mix(clean, noise, snr), strict=True
            ):
                path = folder / f"{side}_{subset}_wav" / f"{name}.flac"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, signal, SAMPLE_RATE, compression_level=1.0)
            lines.append(f"{name} {kind} {snr:g}\n")
        (folder / f"log_{log}.txt").write_text("".join(lines), encoding="ascii")


def _check_variant(voice: str) -> None:
    """Raise if espeak-ng speaks a voice as if it had no variant."""
    language = voice.split("+")[0]
    plain = speak("Hello.", language, 170, 50)
    if np.array_equal(speak("Hello.", voice, 170, 50), plain):
        raise ValueError(f"espeak-ng must know the variant of voice ({voice})")


def _utterance(text: str, speaker: Speaker, seed: int, name: str) -> np.ndarray:
    """Speak one sentence, with small changes of speed and pitch, and record it."""
    rng = rng_for(seed, name, "speech")
    speed = round(speaker.speed * rng.uniform(0.98, 1.1))
    pitch = speaker.pitch + int(rng.integers(-7, 8))
    clean = record(speak(text, speaker.voice, speed, pitch), rng)
    seconds = len(clean) / SAMPLE_RATE
    if not 2 <= seconds <= 4:
        raise ValueError(f"duration of {name} ({seconds:.2f} s) must be in [2, 4] s")
    return clean


def measure(folder: Path) -> dict[str, tuple[int, float, float]]:
    """Measure the noisy files of each split against the clean ones.

    Arguments
    ---------
    folder : pathlib.Path
        A minibank corpus.

    Returns
    -------
    dict
        Per split: number of pairs, total duration [s], mean wide-band PESQ.

    Example
    -------
    >>> measure(Path("minibank"))["test"]  # doctest: +SKIP
    (10, 25.1, 1.5)
    """
    splits = (
        ("train", "trainset_28spk", TRAIN_SPEAKERS),
        ("valid", "trainset_28spk", VALID_SPEAKERS),
        ("test", "testset", TEST_SPEAKERS),
    )
    result = {}
    for split, subset, speakers in splits:
        seconds, scores = 0.0, []
        for path in sorted((folder / f"clean_{subset}_wav").glob("*.flac")):
            if path.name[:4] in speakers:
                clean, _ = soundfile.read(path)
                noisy, _ = soundfile.read(folder / f"noisy_{subset}_wav" / path.name)
                scores.append(pesq(SAMPLE_RATE, clean, noisy, "wb"))
                seconds += len(clean) / SAMPLE_RATE
        result[split] = (len(scores), seconds, float(np.mean(scores)))
    return result


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Arguments
    ---------
    arguments : list of str, optional
        Arguments; those of the process by default.

    Example
    -------
    >>> main(["--measure"])  # doctest: +SKIP
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = Path(__file__).parent
    parser.add_argument(
        "folder", nargs="?", type=Path, default=here, help="corpus (default: here)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    parser.add_argument(
        "--measure", action="store_true", help="score an existing corpus, make nothing"
    )
    options = parser.parse_args(arguments)
    if not options.measure:
        make_corpus(options.folder, options.seed)
        return
    for split, (count, seconds, score) in measure(options.folder).items():
        sys.stdout.write(
            f"{split}: {count} pairs, {seconds:.1f} s, noisy PESQ {score:.2f}\n"
        )


if __name__ == "__main__":
    main()
