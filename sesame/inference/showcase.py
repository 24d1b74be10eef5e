"""What ``make run`` shows of a training run: a table, a figure, a file to hear."""

from collections.abc import Iterator
from pathlib import Path

from .audio_files import read_audio, write_audio
from .enhancer import Enhancer
from .figures import save_figure, showcase_figure
from .model_card import score_table
from .resampling import resample
from .routing import expert_maps
from .training_run import convert_run, read_scores

__all__ = ["showcase"]

EXAMPLE = "p311_004.flac"


def showcase(
    results_folder: str | Path,
    data_folder: str | Path,
    pretrained_folder: str | Path | None = None,
) -> Iterator[str]:
    """Makes a run presentable: its model folder, its scores and a figure.

    Writes ``model/`` and ``showcase.png`` into the results folder, and, with a
    pretrained model, one of the bundled noisy files enhanced by that model.

    Arguments
    ---------
    results_folder : str | Path
        Output folder of ``train.py``, after its test.
    data_folder : str | Path
        Corpus in VoiceBank+DEMAND's layout with the pairs of the run's test set.
    pretrained_folder : str | Path | None
        Model folder to enhance an example with; skipped where there is none.

    Yields
    ------
    str
        Lines that say what was made.

    Raises
    ------
    ValueError
        If the run has no checkpoint, no scores or no enhanced test utterance.
    ImportError
        If matplotlib is not installed.

    Example
    -------
    >>> list(showcase("no/such/run", "data/minibank"))
    Traceback (most recent call last):
    ValueError: results folder no/such/run must hold hyperparams.yaml and save/CKPT+*...
    """
    results, data = Path(results_folder), Path(data_folder)
    checkpoint = convert_run(results, results / "model", overwrite=True)
    epoch = checkpoint.meta.get("epoch")
    origin = "a checkpoint inside an epoch" if epoch is None else f"epoch {epoch}"
    yield f"Model of {origin}: {results / 'model'}"
    scores = {kind: read_scores(results, kind) for kind in ("noisy", "enhanced")}
    if not all(scores.values()):
        raise ValueError(
            f"{results} must hold test_scores.json and noisy_scores.json, which a run "
            "writes at its end"
        )
    yield f"Test set, noisy and enhanced:\n{score_table(scores)}"
    figure = results / "showcase.png"
    name = _draw(results, data, figure)
    yield f"Spectrograms of {name} and the experts chosen: {figure}"
    example = data / "noisy_testset_wav" / EXAMPLE
    if pretrained_folder is None or not Path(pretrained_folder).is_dir():
        yield "There is no pretrained model to listen to."
    elif example.is_file():
        yield _enhance_example(example, Path(pretrained_folder), results)


def _draw(results: Path, data: Path, figure: Path) -> str:
    """Draws the first test utterance; returns its name."""
    enhancer = Enhancer.from_pretrained(results / "model", device="cpu")
    enhanced_files = sorted((results / "enhanced_wavs").glob("*.wav"))
    if not enhanced_files:
        raise ValueError(f"{results / 'enhanced_wavs'} must hold the enhanced test set")
    name = enhanced_files[0].stem
    files = {
        "noisy": _find(data / "noisy_testset_wav", name),
        "enhanced": enhanced_files[0],
        "clean": _find(data / "clean_testset_wav", name),
    }
    signals = {}
    for title, path in files.items():
        audio = read_audio(path)
        mono = audio.waveform.mean(axis=0, keepdims=True)
        signals[title] = resample(mono, audio.sample_rate, enhancer.sample_rate)[0]
    maps = expert_maps(enhancer, signals["noisy"], enhancer.sample_rate)
    save_figure(showcase_figure(signals, enhancer.sample_rate, maps), figure)
    return name


def _find(folder: Path, name: str) -> Path:
    found = sorted(p for p in folder.glob(f"{name}.*") if p.stem == name)
    if not found:
        raise ValueError(f"{folder} must hold {name}, as the run's test set does")
    return found[0]


def _enhance_example(example: Path, pretrained: Path, results: Path) -> str:
    enhancer = Enhancer.from_pretrained(pretrained, device="cpu")
    audio = read_audio(example)
    enhanced = enhancer(audio.waveform, audio.sample_rate)
    target = results / f"{example.stem}_{pretrained.name}.wav"
    write_audio(target, enhanced, audio.sample_rate, audio.subtype)
    return f"{example}, enhanced by the pretrained {pretrained.name}: {target}"
