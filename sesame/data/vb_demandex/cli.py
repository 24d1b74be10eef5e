"""Command line of the builder."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from sesame.data.vb_demandex.building import build
from sesame.data.vb_demandex.planning import SEED, SNRS_DB, plan_mixtures
from sesame.data.vb_demandex.sources import SPLITS, TEST_SPEAKERS, VALID_SPEAKERS
from sesame.data.vb_demandex.verification import format_table, verify

logger = logging.getLogger(__name__)

PUBLISHED_COUNTS = {"train": 10_842, "valid": 730, "test": 826}


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a set, then measure what was written.

    Arguments
    ---------
    arguments : Sequence[str] | None
        Words after the command; ``None`` takes those of the program.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error or if the check found a problem.

    Example
    -------
    >>> main(["set", "--clean", "absent", "--noise", "absent"])
    1
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if not options.verify_only:
            _build(options)
        return _verify(options.folder)
    except (ValueError, OSError) as error:
        logger.error("Error: %s", error)
        return 1


def _build(options: argparse.Namespace) -> None:
    if options.clean is None or options.noise is None:
        raise ValueError("--clean and --noise must name folders")
    everyone = options.all_speakers
    mixtures = plan_mixtures(
        options.clean,
        options.noise,
        options.babble,
        splits=options.splits,
        valid_speakers=[] if everyone else options.valid_speakers,
        test_speakers=[] if everyone else options.test_speakers,
        noise_types=options.noise_types,
        snr_db=options.snrs,
        items_per_file=options.items_per_file,
        max_seconds=options.max_seconds,
        seed=options.seed,
        sample_rate=options.sample_rate,
    )
    for split in SPLITS:
        count = sum(mixture.split == split for mixture in mixtures)
        if count:
            logger.info("%s: %d pairs to make", split, count)
        if count and not everyone:
            logger.info("(VB-DemandEx has %d)", PUBLISHED_COUNTS[split])
    roots = {"clean": options.clean, "noise": options.noise}
    if options.babble is not None:
        roots["babble"] = options.babble
    counts = build(
        options.folder, mixtures, roots, options.num_workers, options.sample_rate
    )
    logger.info("%d pairs written, %d kept", counts["written"], counts["kept"])


def _verify(folder: Path) -> int:
    checks = verify(folder)
    logger.info("%s", format_table(checks))
    bad = [check for check in checks if check.problem]
    for check in bad[:20]:
        logger.error("%s %s: %s", check.split, check.item_id, check.problem)
    if len(bad) > 20:
        logger.error("and %d more", len(bad) - 20)
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sesame.data.vb_demandex",
        description="Mix VB-DemandEx, or a set like it from any speech and noise. "
        "An interrupted build goes on where it stopped.",
    )
    add = parser.add_argument
    add("folder", type=Path, help="where the set goes")
    add("--clean", type=Path, help="VoiceBank+DEMAND, VoiceBank, or any speech")
    add("--noise", type=Path, help="DEMAND, or any noise")
    add("--babble", type=Path, help="speech for babble and SSN (default: the clean)")
    add("--splits", nargs="+", choices=SPLITS, default=SPLITS)
    add("--valid-speakers", nargs="+", default=VALID_SPEAKERS, metavar="NAME")
    add("--test-speakers", nargs="+", default=TEST_SPEAKERS, metavar="NAME")
    add("--all-speakers", action="store_true", help="one split of all the speech")
    add("--noise-types", nargs="+", metavar="TYPE", help="default: all there are")
    add("--snrs", nargs="+", type=float, default=SNRS_DB, metavar="DB")
    add("--items-per-file", type=int, default=1, help="mixtures of each clean file")
    add("--max-seconds", type=float, help="cut longer speech to pieces of this length")
    add("--seed", type=int, default=SEED)
    add("--sample-rate", type=int, default=16_000, metavar="HZ")
    add("--num-workers", type=int, default=0, help="processes (default: none besides)")
    add("--verify-only", action="store_true", help="only measure the set again")
    return parser
