"""How a spectrum would have gone on where packets of the signal are lost."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Continuation", "continue_spectrum"]

# Frames of 10 ms after which nothing is continued: a burst of ten packets of 20 ms.
_LONGEST = 20


def continue_spectrum(spectrum: Tensor, heard: Tensor) -> Tensor:
    """Goes on from the last frame that was heard, where one is not.

    The magnitude of each bin stays, and its phase turns from frame to frame as it did
    between the last two frames in succession that were heard: each bin as a sine. It
    ends after 200 ms.

    Arguments
    ---------
    spectrum : Tensor
        Spectrum (B, T, F, 2): real and imaginary parts.
    heard : Tensor
        Which frames are whole, booleans (B, T).

    Returns
    -------
    Tensor
        (B, T, F, 2): zeros in frames that were heard.

    Example
    -------
    >>> sine = torch.tensor([[1.0, 0], [0, 1], [0, 0], [0, 0]])[None, :, None]
    >>> heard = torch.tensor([[True, True, False, False]])
    >>> continue_spectrum(sine, heard)[0, :, 0].round()
    tensor([[ 0.,  0.],
            [ 0.,  0.],
            [-1.,  0.],
            [-0., -1.]])
    """
    before = F.pad(spectrum[:, :-1], (0, 0, 0, 0, 1, 0))
    pairs = heard & F.pad(heard[:, :-1], (1, 0))
    last, turned = _last_true(heard), _last_true(pairs)
    gap = torch.arange(heard.shape[1], device=heard.device) - last
    turn = _frames_at(_turn(spectrum, before), turned)
    result = _frames_at(spectrum, last)
    for bit in range(_LONGEST.bit_length()):
        odd = _wide(gap >> bit & 1 == 1)
        result = torch.where(odd, _product(result, turn), result)
        turn = _product(turn, turn)
    nothing = heard | (last < 0) | (turned < 0) | (gap > _LONGEST)
    return result.masked_fill(_wide(nothing), 0)


class Continuation(NamedTuple):
    """What streams remember in order to be continued.

    Arguments
    ---------
    last : Tensor
        The last frame, or how it was continued, (B, F, 2).
    pair : Tensor
        The last two frames in succession that were heard, (B, 2, F, 2).
    gap : Tensor
        Frames since one was heard, (B).

    Example
    -------
    >>> memory = Continuation.initial(torch.zeros(1, 81, 2))
    >>> heard = torch.tensor([[True, True, False]])
    >>> continued, memory = memory.step(torch.randn(1, 3, 81, 2), heard)
    >>> memory.gap
    tensor([1])
    """

    last: Tensor
    pair: Tensor
    gap: Tensor

    @classmethod
    def initial(cls, frame: Tensor) -> "Continuation":
        """Returns what streams remember before their first frame.

        Arguments
        ---------
        frame : Tensor
            Zeros (B, F, 2).

        Returns
        -------
        Continuation
            The memory.
        """
        gap = torch.zeros(len(frame), dtype=torch.int64, device=frame.device)
        return cls(frame, torch.stack((frame, frame), dim=1), gap)

    def step(
        self, spectrum: Tensor, heard: Tensor
    ) -> tuple[Tensor | None, "Continuation"]:
        """Takes the next frames: together, what ``continue_spectrum`` gives.

        Arguments
        ---------
        spectrum : Tensor
            (B, T, F, 2).
        heard : Tensor
            Which frames are whole, booleans (B, T).

        Returns
        -------
        tuple[Tensor | None, Continuation]
            The continuation (B, T, F, 2), ``None`` if all was heard up to here, and
            what to remember.
        """
        # By far the most steps: a small network takes hardly longer than this branch.
        if not torch.jit.is_tracing() and heard.all() and not self.gap.any():
            frames = torch.cat((self.last[:, None], spectrum), dim=1)
            return None, Continuation(frames[:, -1], frames[:, -2:], self.gap)
        memory, continued = self, []
        for frame, whole in zip(spectrum.unbind(1), heard.unbind(1), strict=True):
            before, after = memory.pair.unbind(1)
            guess = _product(memory.last, _turn(after, before))
            gap = torch.where(whole, 0, memory.gap + 1)
            follows = _wide(whole & (memory.gap == 0))[..., None]
            pair = torch.stack((memory.last, frame), dim=1)
            pair = torch.where(follows, pair, memory.pair)
            continued.append(guess.masked_fill(_wide(whole | (gap > _LONGEST)), 0))
            last = torch.where(_wide(whole), frame, guess)
            memory = Continuation(last, pair, gap)
        return torch.stack(continued, dim=1), memory


def _wide(flags):
    return flags[..., None, None]


def _product(a, b):
    if torch.jit.is_tracing():  # exporters do not know complex numbers
        real = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
        imaginary = a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]
        return torch.stack((real, imaginary), dim=-1)
    return torch.view_as_real(torch.view_as_complex(a) * torch.view_as_complex(b))


def _turn(frame, before):
    # Of what is next to nothing the phase has no gradient that is a number.
    frame, before = frame.detach(), before.detach()
    if torch.jit.is_tracing():
        product = _product(frame, before * before.new_tensor([1.0, -1.0]))
        length = torch.linalg.vector_norm(product, dim=-1, keepdim=True)
        return product / length.clamp_min(torch.finfo(length.dtype).tiny)
    product = torch.view_as_complex(frame) * torch.view_as_complex(before).conj()
    return torch.view_as_real(product.sgn())


def _last_true(flags):
    """Number of the last frame up to each that is true, -1 where there is none."""
    numbers = torch.arange(flags.shape[1], device=flags.device)
    return torch.where(flags, numbers, -1).cummax(dim=1).values


def _frames_at(spectrum, numbers):
    index = numbers.clamp_min(0)[:, :, None, None].expand_as(spectrum)
    return spectrum.gather(1, index)
