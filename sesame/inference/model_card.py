"""Model cards, and tables of scores that a test wrote."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sesame.metrics import format_summaries

__all__ = ["RunFacts", "model_card", "score_table"]


class RunFacts(NamedTuple):
    """What a model card says about the run a model comes from.

    Arguments
    ---------
    model_name : str
        Class in ``sesame.models``.
    arguments : Mapping[str, Any]
        Its constructor arguments.
    num_parameters : int
        Number of trained numbers.
    sample_rate : int | None
        Hz; None for a ``SEFlow``.
    recipe : str
        Name of the YAML file in ``hparams/``; empty if unknown.
    weights_file : str
        File of the checkpoint the weights were read from.
    checkpoint : Mapping[str, Any]
        Meta data of the checkpoint.
    selection_metric : str
        Metric the checkpoint was chosen by.
    scores : Mapping[str, Mapping[str, Any]]
        Contents of the score files, by "noisy" and "enhanced".
    separates : bool
        Whether the model separates speakers instead of enhancing.

    Example
    -------
    >>> RunFacts("MPSENet", {}, 1, 16000, "", "ema.ckpt", {}, "pesq", {}).sample_rate
    16000
    """

    model_name: str
    arguments: Mapping[str, Any]
    num_parameters: int
    sample_rate: int | None
    recipe: str
    weights_file: str
    checkpoint: Mapping[str, Any]
    selection_metric: str
    scores: Mapping[str, Mapping[str, Any]]
    separates: bool = False


class _Use(NamedTuple):
    """Texts that depend on what a model is for."""

    task: str
    code: str
    transform: str
    limits: tuple[str, ...]


SPEECH_LIMIT = (
    "Speech and noise unlike those of the training data may come out worse than they "
    "went in."
)
RATE_LIMIT = (
    "It works at {rate} Hz: of a signal at a higher rate, nothing above {half} Hz is "
    "left."
)
ENHANCEMENT = _Use(
    "Monaural speech enhancement.",
    "from sesame.inference import Enhancer\n\n"
    'enhancer = Enhancer.from_pretrained("this/folder")\n'
    "enhanced = enhancer(noisy, sample_rate)  # (L,) or (channels, L)",
    "; for the transform see `config.json`",
    (
        RATE_LIMIT,
        "Channels are enhanced one by one; signals above 12 s run in windows, not as a "
        "stream.",
    ),
)
SEPARATION = _Use(
    "Separation of the speakers of a mixture.",
    "from sesame.inference import Separator\n\n"
    'separator = Separator.from_pretrained("this/folder")\n'
    "speakers = separator(mixture, sample_rate)  # (speakers, L)",
    "",
    (
        RATE_LIMIT,
        "Channels are averaged into one; who speaks first in the result is arbitrary; "
        "signals above 12 s run in windows, not as a stream.",
    ),
)
STREAMS = _Use(
    "Causal enhancement of speech at any sampling rate, with any of its sub-networks.",
    "from sesame.inference import FlowEnhancer\n\n"
    'enhancer = FlowEnhancer.from_pretrained("this/folder", width=0.5, depth=4)\n'
    "enhanced = enhancer(noisy, sample_rate)  # (L,) or (channels, L)",
    "; for all of its sizes see `sesame info`",
    (
        "Of a signal at more than 48 kHz, nothing above 24 kHz is left.",
        "Channels are enhanced one by one; levels count, full scale is 1.",
    ),
)


def model_card(facts: RunFacts) -> str:
    """Writes a short model card for a person to extend.

    Arguments
    ---------
    facts : RunFacts
        What is known.

    Returns
    -------
    str
        Markdown. What is not known says so.

    Example
    -------
    >>> facts = RunFacts("MPSENet", {}, 123456, 16000, "", "ema.ckpt", {}, "pesq", {})
    >>> print(model_card(facts).splitlines()[0])
    # MPSENet, 123 456 parameters, 16000 Hz
    """
    parameters = f"{facts.num_parameters:,}".replace(",", " ")
    arguments = ", ".join(
        f"{name}={value!r}" for name, value in facts.arguments.items()
    )
    recipe = "not known"
    if facts.recipe:
        recipe = f"`python train.py hparams/{facts.recipe}`, plus the run's own options"
    epoch = facts.checkpoint.get("epoch", "not known (saved inside an epoch)")
    score = facts.checkpoint.get(facts.selection_metric)
    validation = "none"
    if score is not None:
        score = f"{score:.4f}" if isinstance(score, float) else score
        validation = f"{facts.selection_metric} {score}"
    kind = "averaged weights (EMA)" if facts.weights_file == "ema.ckpt" else "weights"
    rate = facts.sample_rate
    if rate is None:
        use, heading, limits = STREAMS, "any sampling rate", STREAMS.limits
    else:
        use, heading = SEPARATION if facts.separates else ENHANCEMENT, f"{rate} Hz"
        limits = [limit.format(rate=rate, half=rate // 2) for limit in use.limits]
    limits = [*limits, SPEECH_LIMIT]
    sections = [
        f"# {facts.model_name}, {parameters} parameters, {heading}",
        f"{use.task} Made by `sesame.inference` from a training run.",
        f"## Use\n\n```python\n{use.code}\n```",
        f"## Model\n\n`sesame.models.{facts.model_name}({arguments})`{use.transform}.",
        "## Training\n\n"
        f"* command: {recipe}\n"
        f"* epoch: {epoch}; {kind}\n"
        f"* validation score it was chosen by: {validation}\n"
        "* data: see the YAML file of the run",
        f"## Scores on the run's test set\n\n{_scores(facts.scores)}",
        "## Limits\n\n" + "\n".join(f"* {limit}" for limit in limits),
        "## Licence\n\nApache-2.0",
    ]
    return "\n\n".join(sections) + "\n"


def score_table(systems: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table of score files, side by side.

    Arguments
    ---------
    systems : Mapping[str, Mapping[str, Any]]
        Contents of the files by column heading: {metric: {"mean", "n_scored",
        "n_total"}, "composite_variant": name}.

    Returns
    -------
    str
        The table, without a final line break.

    Example
    -------
    >>> score = {"csig": {"mean": 3.5, "n_scored": 1, "n_total": 2}}
    >>> print(score_table({"enhanced": score | {"composite_variant": "loizou"}}))
    | metric        | enhanced | n scored / n total |
    |---------------|---------:|-------------------:|
    | csig (loizou) |   3.5000 |              1 / 2 |
    """
    summaries = {
        system: {
            name: entry
            for name, entry in content.items()
            if isinstance(entry, Mapping) and "n_total" in entry
        }
        for system, content in systems.items()
    }
    variants = dict.fromkeys(c["composite_variant"] for c in systems.values())
    return format_summaries(summaries, " and ".join(variants))


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    return score_table(scores) if scores else "The run was not tested."
