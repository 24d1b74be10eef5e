"""VB-DemandEx: speech in recorded noise, babble and speech-shaped noise, built anew.

``python -m sesame.data.vb_demandex OUT --clean VOICEBANK --noise DEMAND --babble SPEECH
--num-workers 8`` plans, writes and then measures a set; see ``--help``.

A set like it from any other folders, here one split of all the speech:
``python -m sesame.data.vb_demandex OUT --clean SPEECH --noise NOISE --babble OTHERS
--splits test --all-speakers --items-per-file 5 --max-seconds 6``.

* Speech: VoiceBank; speakers p282 and p287 for validation, p232 and p257 for the test.
* Noise: DEMAND at 16 kHz, channels 1-12, 13-14 and 15-16 for training, validation and
  test, the three environments of each of six categories one after the other; babble
  (``sesame.data.babble``); speech-shaped noise (``sesame.data.speech_shaped_noise``).
* Mixtures: segmental SNRs from -10 to 20 dB in steps of 5 dB, as the DNS script makes
  them; ``sesame.data.segmental_snr`` says what that is.

Published: 10 842, 730 and 826 pairs. The first two are what the 28 training speakers of
VoiceBank+DEMAND give; its test set has 824 utterances of p232 and p257, so a set built
from it has two pairs less.

The draws of the published set are not known: the set is one like it, not the same.

Source: N. L. Kuehne et al., "MambAttention: Mamba with Multi-Head Attention for
Generalizable Single-Channel Speech Enhancement", arXiv 2507.00966.
"""

from sesame.data.vb_demandex.building import build, require_set
from sesame.data.vb_demandex.dynamic import demandex_dataset
from sesame.data.vb_demandex.mixture import Mixture, mix
from sesame.data.vb_demandex.planning import plan_mixtures
from sesame.data.vb_demandex.verification import format_table, verify

__all__ = [
    "Mixture",
    "build",
    "demandex_dataset",
    "format_table",
    "mix",
    "plan_mixtures",
    "require_set",
    "verify",
]
