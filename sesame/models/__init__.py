"""Systems with a name in a paper.

``__all__`` is the allowlist of classes that a model folder's ``config.json`` may name:
the networks, each buildable from its constructor arguments alone, and the
discriminator they are trained with.
"""

from sesame.models.bsrnn import BSRNN
from sesame.models.discriminator import MetricDiscriminator
from sesame.models.lstm_senet import LSTMAttention, LSTMSENet
from sesame.models.mambattention import MambAttention
from sesame.models.mp_senet import MPSENet
from sesame.models.seflow import SEFlow
from sesame.models.semamba import SEMamba
from sesame.models.sesame import SESAME
from sesame.models.tf_moe import TFConformer, TFMoE
from sesame.models.transformer_mamba import TransformerMamba
from sesame.models.xlstm_senet import XLSTMAttention, XLSTMSENet

__all__ = [
    "BSRNN",
    "SESAME",
    "LSTMAttention",
    "LSTMSENet",
    "MPSENet",
    "MambAttention",
    "MetricDiscriminator",
    "SEFlow",
    "SEMamba",
    "TFConformer",
    "TFMoE",
    "TransformerMamba",
    "XLSTMAttention",
    "XLSTMSENet",
]
