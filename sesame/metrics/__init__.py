"""Metrics: numpy in, a number or the reason why there is none out."""

from .composite import VARIANTS, composite, segmental
from .dnsmos import DNSMOS_METRICS, dnsmos
from .evaluate import (
    METRICS,
    FolderScores,
    evaluate_folders,
    score_pair,
    score_pairs,
)
from .pesq import pesq_wb
from .report import Row, Summary, format_table, summarize, write_scores
from .score import Pair, Score, check_pair, check_signal
from .si_sdr import si_sdr
from .stoi import estoi, stoi

__all__ = [
    "DNSMOS_METRICS",
    "METRICS",
    "VARIANTS",
    "FolderScores",
    "Pair",
    "Row",
    "Score",
    "Summary",
    "check_pair",
    "check_signal",
    "composite",
    "dnsmos",
    "estoi",
    "evaluate_folders",
    "format_table",
    "pesq_wb",
    "score_pair",
    "score_pairs",
    "segmental",
    "si_sdr",
    "stoi",
    "summarize",
    "write_scores",
]
