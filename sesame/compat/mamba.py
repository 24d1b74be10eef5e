"""Parameters of the Mamba mixer: the authors' names to ours."""

__all__ = ["DIRECTION_RULES", "MIXER_RULES"]

# Prefix in state-spaces/mamba@v1.2.2, mamba_ssm/modules/mamba_simple.py -> ours.
MIXER_RULES = {
    r"in_proj\.": "in_projection.",
    r"conv1d\.": "convolution.",
    r"x_proj\.": "scan_projection.",
    r"dt_proj\.": "delta_projection.",
    r"A_log$": "log_decay",
    r"D$": "direct",
    r"out_proj\.": "out_projection.",
}
# One direction of RoyChao19477/SEMamba@750ff5d, models/mamba_block.py.
DIRECTION_RULES = {r"norm\.": "norm."} | {
    rf"mixer\.{theirs}": f"mixer.{ours}" for theirs, ours in MIXER_RULES.items()
}
