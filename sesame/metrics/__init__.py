"""Metrics: numpy in, a number or the reason why there is none out."""

from .composite import VARIANTS, composite, segmental
from .distillmos import distillmos
from .dnsmos import DNSMOS_METRICS, dnsmos
from .evaluate import iterate_scores, score_pairs
from .folders import FolderScores, evaluate_folders
from .nisqa import nisqa
from .pair import (
    KNOWN_METRICS,
    METRICS,
    MODEL_FILES,
    UNPAIRED_METRICS,
    score_pair,
)
from .pesq import pesq_wb
from .report import (
    Row,
    Summary,
    format_absent,
    format_summaries,
    format_table,
    json_summary,
    summarize,
    unscored_metrics,
    unscored_rows,
    write_scores,
)
from .restoration import RESTORATION_METRICS, erle, score_restoration
from .score import Pair, Score, check_estimate, check_pair, check_signal
from .score_log import ScoreLog, evaluation_settings
from .scoreq import scoreq
from .sdr import sdr
from .seed_table import SeedScore, format_seed_table, read_scores, seed_scores
from .separation import SEPARATION_METRICS, best_order, score_separation
from .si_sdr import si_sdr
from .signals import align, resample
from .stoi import estoi, stoi
from .utmos import utmos

__all__ = [
    "DNSMOS_METRICS",
    "KNOWN_METRICS",
    "METRICS",
    "MODEL_FILES",
    "RESTORATION_METRICS",
    "SEPARATION_METRICS",
    "UNPAIRED_METRICS",
    "VARIANTS",
    "FolderScores",
    "Pair",
    "Row",
    "Score",
    "ScoreLog",
    "SeedScore",
    "Summary",
    "align",
    "best_order",
    "check_estimate",
    "check_pair",
    "check_signal",
    "composite",
    "distillmos",
    "dnsmos",
    "erle",
    "estoi",
    "evaluate_folders",
    "evaluation_settings",
    "format_absent",
    "format_seed_table",
    "format_summaries",
    "format_table",
    "iterate_scores",
    "json_summary",
    "nisqa",
    "pesq_wb",
    "read_scores",
    "resample",
    "score_pair",
    "score_pairs",
    "score_restoration",
    "score_separation",
    "scoreq",
    "sdr",
    "seed_scores",
    "segmental",
    "si_sdr",
    "stoi",
    "summarize",
    "unscored_metrics",
    "unscored_rows",
    "utmos",
    "write_scores",
]
