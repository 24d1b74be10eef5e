"""The two sides of the metric discriminator: it learns PESQ, the network raises it."""

from torch import Tensor

from sesame.features import at_least_float32


def pesq_to_unit(pesq: float | Tensor) -> float | Tensor:
    """Maps wide-band PESQ from [1, 4.5] to [0, 1].

    PESQ of identical signals, 4.644, maps to 1.041. NaN stays NaN.

    Shape: any -> the same.
    Source: yxlu-0102/MP-SENet at 89932cf, models/discriminator.py.

    Arguments
    ---------
    pesq : float | Tensor
        PESQ [MOS-LQO].

    Returns
    -------
    float | Tensor
        ``(pesq - 1) / 3.5``.

    Example
    -------
    >>> pesq_to_unit(4.5)
    1.0
    """
    return (pesq - 1) / 3.5


def generator_metric_loss(score: Tensor) -> Tensor:
    """Mean squared distance of the discriminator's scores from the best score, 1.

    Shape: score (B,) -> scalar.
    Source: yxlu-0102/MP-SENet at 89932cf, train.py; weight there 0.05.

    Arguments
    ---------
    score : Tensor
        Score of the (clean, enhanced) pairs.

    Returns
    -------
    Tensor
        Scalar, float32 or float64.

    Example
    -------
    >>> import torch
    >>> generator_metric_loss(torch.tensor([0.5, 0.5]))
    tensor(0.2500)
    """
    return (at_least_float32(score) - 1).square().mean()


def discriminator_loss(
    score_real: Tensor, score_fake: Tensor, target_unit: Tensor
) -> Tensor:
    """Mean squared error of the scores: 1 for clean pairs, the metric for enhanced.

    Enhanced items whose metric failed have weight 0; the mean is over the others. If
    all failed, their part is 0 with a gradient of 0: the backward pass still visits
    every parameter, so that distributed ranks stay in step.

    Shape: score_real (B,), score_fake (B,), target_unit (B,) -> scalar.
    Source: yxlu-0102/MP-SENet at 89932cf, train.py, which drops all enhanced items if
    one fails.

    Arguments
    ---------
    score_real : Tensor
        Score of the (clean, clean) pairs.
    score_fake : Tensor
        Score of the (clean, enhanced) pairs, enhanced detached from the network.
    target_unit : Tensor
        Metric of the enhanced items on the scale of ``pesq_to_unit``, NaN where it
        failed.

    Returns
    -------
    Tensor
        Scalar, float32 or float64.

    Raises
    ------
    ValueError
        If ``score_fake`` and ``target_unit`` differ in shape.

    Example
    -------
    >>> import torch
    >>> score = torch.tensor([0.5, 0.9])
    >>> discriminator_loss(torch.ones(2), score, torch.tensor([1.0, torch.nan]))
    tensor(0.2500)
    """
    if score_fake.shape != target_unit.shape:
        raise ValueError(
            f"score_fake {tuple(score_fake.shape)} and target_unit "
            f"{tuple(target_unit.shape)} must have one shape"
        )
    score_fake = at_least_float32(score_fake)
    target_unit = target_unit.to(score_fake)
    valid = target_unit.isfinite()
    error = (score_fake - target_unit).masked_fill(~valid, 0)
    fake = error.square().sum() / valid.sum().clamp(min=1)
    return generator_metric_loss(score_real) + fake
