"""SESAME: speech enhancement with a sparse, noise-conditioned mixture of experts.

Letters used in every shape of this package::

    B batch          L waveform samples   T STFT frames    F frequency bins
    C channels       G mel bands          J sources        N folded batch or tokens
    S sequence steps H heads              D head width     E experts
    K chosen experts P state size
"""

__version__ = "0.1.0"
