"""(estimate, target) -> scalar: named and unweighted. Weights live in the YAML."""

from .metric_gan import discriminator_loss, generator_metric_loss, pesq_to_unit
from .multi_resolution import multi_resolution_loss
from .perceptual import pesq_mos
from .phase import anti_wrap, phase_losses
from .restoration import residual_energy, restoration_terms
from .routing import load_balance_loss, router_z_loss, sequence_balance_loss
from .separation import permutation_invariant, separation_loss, si_snr
from .spectral import complex_loss, consistency_loss, magnitude_loss
from .suppression import suppression_snr
from .time import snr, waveform_loss
from .weighted_sum import weighted_sum

__all__ = [
    "anti_wrap",
    "complex_loss",
    "consistency_loss",
    "discriminator_loss",
    "generator_metric_loss",
    "load_balance_loss",
    "magnitude_loss",
    "multi_resolution_loss",
    "permutation_invariant",
    "pesq_mos",
    "pesq_to_unit",
    "phase_losses",
    "residual_energy",
    "restoration_terms",
    "router_z_loss",
    "separation_loss",
    "sequence_balance_loss",
    "si_snr",
    "snr",
    "suppression_snr",
    "waveform_loss",
    "weighted_sum",
]
