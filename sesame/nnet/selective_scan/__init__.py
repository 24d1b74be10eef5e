"""Selective scan: the recurrence of Mamba, in one form per device."""

from sesame.nnet.selective_scan.dispatch import selective_scan
from sesame.nnet.selective_scan.reference import selective_scan_step

__all__ = ["selective_scan", "selective_scan_step"]
