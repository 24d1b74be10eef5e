"""Linear maps and a norm whose first features are a smaller map or norm."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["FlexLinear", "FlexLinearStack", "FlexRMSNorm", "prefix_state_dict"]


class FlexLinear(nn.Module):
    """A linear map that also serves with its first inputs and outputs alone.

    The width of x says how many inputs there are, the caller how many outputs. With
    all of them it is ``nn.Linear``, with the same names in the state dict.

    Shape: x (..., I) -> (..., O), I <= in_features, O <= out_features.
    Source: arXiv:1812.08928 (slimmable networks), by prefixes.

    Arguments
    ---------
    in_features : int
        Inputs of the full map.
    out_features : int
        Outputs of the full map.
    bias : bool
        Whether a bias is added; it starts at 0. Weights start with a standard deviation
        of ``in_features ** -0.5``.

    Example
    -------
    >>> linear = FlexLinear(8, 6)
    >>> linear(torch.randn(2, 8)).shape, linear(torch.randn(2, 4), 3).shape
    (torch.Size([2, 6]), torch.Size([2, 3]))
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        weight = torch.randn(out_features, in_features) * in_features**-0.5
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: Tensor, out_features: int | None = None) -> Tensor:
        """Maps the inputs that are there.

        Arguments
        ---------
        x : Tensor
            (..., I).
        out_features : int | None
            O; ``None``: all.

        Returns
        -------
        Tensor
            (..., O).

        Raises
        ------
        ValueError
            If there are more inputs or outputs than the full map has.
        """
        inputs = x.shape[-1]
        outputs = self.out_features if out_features is None else out_features
        weight, bias = self.weight, self.bias
        # Views cost as much as the arithmetic of a small map, so none where all is used
        if (outputs, inputs) != (self.out_features, self.in_features):
            _check(self, inputs, outputs)
            weight = weight[:outputs, :inputs]
            bias = None if bias is None else bias[:outputs]
        return F.linear(x, weight, bias)


class FlexLinearStack(nn.Module):
    """Several slimmable maps of one input, computed as one.

    Their weights are stacked along a dimension of its own: side by side, the first rows
    would not be the first outputs of each.

    Shape: x (..., I) -> (..., M, O), I <= in_features, O <= out_features.

    Arguments
    ---------
    num_maps : int
        M, maps.
    in_features : int
        Inputs of the full maps.
    out_features : int
        Outputs of each full map.
    bias : bool
        Whether biases are added. All parameters start as those of ``FlexLinear``.

    Example
    -------
    >>> stack = FlexLinearStack(3, 8, 6)
    >>> stack(torch.randn(2, 8)).shape, stack(torch.randn(2, 4), 2).shape
    (torch.Size([2, 3, 6]), torch.Size([2, 3, 2]))
    """

    def __init__(
        self, num_maps: int, in_features: int, out_features: int, bias: bool = True
    ):
        super().__init__()
        self.num_maps = num_maps
        self.in_features = in_features
        self.out_features = out_features
        weight = torch.randn(num_maps, out_features, in_features) * in_features**-0.5
        self.weight = nn.Parameter(weight)
        bias = torch.zeros(num_maps, out_features) if bias else None
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x: Tensor, out_features: int | None = None) -> Tensor:
        """Maps the inputs that are there, with each map.

        Arguments
        ---------
        x : Tensor
            (..., I).
        out_features : int | None
            O; ``None``: all.

        Returns
        -------
        Tensor
            (..., M, O).

        Raises
        ------
        ValueError
            If there are more inputs or outputs than the full maps have.
        """
        inputs = x.shape[-1]
        outputs = self.out_features if out_features is None else out_features
        weight, bias = self.weight, self.bias
        if (outputs, inputs) != (self.out_features, self.in_features):
            _check(self, inputs, outputs)
            weight = weight[:, :outputs, :inputs]
            bias = None if bias is None else bias[:, :outputs]
        bias = None if bias is None else bias.flatten()
        mapped = F.linear(x, weight.flatten(0, 1), bias)
        return mapped.view(*x.shape[:-1], self.num_maps, outputs)


class FlexRMSNorm(nn.Module):
    """Divides by the root mean square of the channels that are there.

    Shape: x (..., C) -> the same, C <= channels.
    Source: arXiv:1910.07467.

    Arguments
    ---------
    channels : int
        Width of the full norm.
    eps : float
        Added to the mean square.

    Example
    -------
    >>> FlexRMSNorm(4)(torch.tensor([3.0, -3.0])).detach()
    tensor([ 1., -1.])
    """

    def __init__(self, channels: int, eps: float = 1e-6):
        super().__init__()
        self.channels = channels
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalises the last dimension.

        Arguments
        ---------
        x : Tensor
            (..., C).

        Returns
        -------
        Tensor
            (..., C).

        Raises
        ------
        ValueError
            If there are more channels than the full norm has.
        """
        channels = x.shape[-1]
        weight = self.weight
        if channels != self.channels:
            if channels > self.channels:
                raise ValueError(
                    f"channels ({channels}) must be in [1, {self.channels}]"
                )
            weight = weight[:channels]
        if x.device.type != "cpu":
            return F.rms_norm(x, (channels,), weight, self.eps)
        # F.rms_norm has no kernel of its own on a CPU and reads x once more.
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * torch.rsqrt(norm.square() / channels + self.eps) * weight


def prefix_state_dict(module: nn.Module, smaller: nn.Module) -> dict[str, Tensor]:
    """State dict that makes a narrower module the prefix of a slimmable one.

    Arguments
    ---------
    module : nn.Module
        Slimmable module.
    smaller : nn.Module
        A module of the same class and smaller sizes; it may also lack submodules.

    Returns
    -------
    dict[str, Tensor]
        Copies of the leading entries of each tensor that ``smaller`` has.

    Raises
    ------
    ValueError
        If ``smaller`` has a tensor that ``module`` lacks, or a larger one.

    Example
    -------
    >>> linear, small = FlexLinear(8, 6), FlexLinear(4, 3)
    >>> _ = small.load_state_dict(prefix_state_dict(linear, small))
    >>> x = torch.randn(2, 4)
    >>> torch.equal(small(x), linear(x, 3))
    True
    """
    source = module.state_dict()
    prefix = {}
    for name, tensor in smaller.state_dict().items():
        whole = source.get(name)
        if whole is None or whole.ndim != tensor.ndim:
            raise ValueError(f"{name} must be a tensor of both modules")
        if any(n > m for n, m in zip(tensor.shape, whole.shape, strict=True)):
            raise ValueError(
                f"{name} {tuple(tensor.shape)} must fit into {tuple(whole.shape)}"
            )
        prefix[name] = whole[tuple(slice(n) for n in tensor.shape)].clone()
    return prefix


def _check(linear, inputs, outputs):
    if inputs > linear.in_features:
        raise ValueError(f"inputs ({inputs}) must be in [1, {linear.in_features}]")
    if not 1 <= outputs <= linear.out_features:
        raise ValueError(
            f"out_features ({outputs}) must be in [1, {linear.out_features}]"
        )
