"""Packets that do not arrive."""

import numpy as np

from sesame.data.degradations.degraded import Degraded, check_range, check_waveform

PACKET_SECONDS = 0.02


def draw_losses(
    num_packets: int,
    rate: float,
    continuation: float,
    max_burst: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw which packets are lost, in bursts.

    A Gilbert channel whose bursts have an end: the packet after a lost one is lost with
    probability ``continuation`` up to ``max_burst`` packets, and the one after a packet
    that arrived with the probability that makes ``rate`` of them be lost in the mean.

    Shape: -> (num_packets,).

    Arguments
    ---------
    num_packets : int
        Packets sent.
    rate : float
        Part of the packets that is lost in the mean, in [0, 0.5].
    continuation : float
        Probability in [0, 1] that a burst goes on.
    max_burst : int
        Packets that are lost in a row at most.
    rng : np.random.Generator
        Source of chance.

    Returns
    -------
    np.ndarray
        Whether each packet is lost, bool.

    Source: E. N. Gilbert, "Capacity of a burst-noise channel", Bell Syst. Tech. J. 39,
    1960.

    Example
    -------
    >>> draw_losses(6, 0.5, 0.0, 10, np.random.default_rng(0)).astype(int).tolist()
    [0, 1, 0, 1, 0, 1]
    """
    lost = np.zeros(num_packets, dtype=bool)
    if rate == 0:
        return lost
    mean_burst = float(np.sum(continuation ** np.arange(max_burst)))
    begin = min(1.0, rate / (mean_burst * (1 - rate)))
    burst, is_lost = 0, bool(rng.random() < rate)
    for index, chance in enumerate(rng.random(num_packets)):
        if index > 0:
            is_lost = chance < (continuation if is_lost else begin)
        is_lost = is_lost and burst < max_burst
        burst = burst + 1 if is_lost else 0
        lost[index] = is_lost
    return lost


class PacketLoss:
    """Replaces lost packets by zeros.

    ``done``: ``loss_rate``, the part of the packets that is lost; ``lost``, which,
    bool. Packets are counted from the first sample; a last, shorter one may be lost,
    too. At least one is lost where so many are sent that the lowest rate asks for one.

    Arguments
    ---------
    rate : tuple[float, float]
        Range of the mean part of the packets that is lost, within [0, 0.5].
    continuation : tuple[float, float]
        Range of the probability that the packet after a lost one is lost; 0.5 gives
        bursts of two packets in the mean.
    max_burst : int
        Packets that are lost in a row at most, at least 1.
    packet_seconds : float
        Length of a packet.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Source: URGENT challenge: packets of 20 ms, 5-25 % lost, at most 10 in a row.

    Example
    -------
    >>> lose = PacketLoss(rate=(0.5, 0.5), continuation=(0.0, 0.0))
    >>> degraded = lose(np.ones(960, np.float32), 16000, np.random.default_rng(0))
    >>> degraded.done["lost"].tolist(), degraded.waveform[::320].tolist()
    ([True, False, True], [0.0, 1.0, 0.0])
    """

    def __init__(
        self,
        rate: tuple[float, float] = (0.05, 0.25),
        continuation: tuple[float, float] = (0.2, 0.8),
        max_burst: int = 10,
        packet_seconds: float = PACKET_SECONDS,
    ):
        if max_burst < 1:
            raise ValueError(f"max_burst ({max_burst}) must be at least 1 packet")
        if not packet_seconds > 0:
            raise ValueError(f"packet_seconds ({packet_seconds}) must be positive")
        self.rate = check_range("rate", rate, 0, 0.5)
        self.continuation = check_range("continuation", continuation, 0, 1)
        self.max_burst = max_burst
        self.packet_seconds = packet_seconds

    def __call__(
        self, waveform: np.ndarray, sample_rate: int, rng: np.random.Generator
    ) -> Degraded:
        """Lose packets.

        Arguments
        ---------
        waveform : np.ndarray
            Samples, (L,).
        sample_rate : int
            Hz.
        rng : np.random.Generator
            Source of chance.

        Returns
        -------
        Degraded
            Waveform with gaps.
        """
        check_waveform(waveform)
        packet = max(1, round(self.packet_seconds * sample_rate))
        lost = draw_losses(
            -(-len(waveform) // packet),
            float(rng.uniform(*self.rate)),
            float(rng.uniform(*self.continuation)),
            self.max_burst,
            rng,
        )
        # Else one item in ten of an evaluation of concealment would lose nothing.
        if not lost.any() and len(lost) * self.rate[0] >= 1:
            lost[rng.integers(len(lost))] = True
        kept = ~np.repeat(lost, packet)[: len(waveform)]
        done = {"loss_rate": float(lost.mean()), "lost": lost}
        return Degraded(waveform * kept, done)
