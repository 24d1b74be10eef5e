"""Files on disk -> manifests -> (noisy, clean) pairs. Imports nothing of ours."""

from sesame.data.audio import audio_info, list_audio, read_audio, resample
from sesame.data.babble import babble, remove_silence
from sesame.data.crops import RandomCrop, keyed_rng
from sesame.data.degraded_batch import degraded_batch
from sesame.data.degraded_sets import multi_rate_dataset, task_datasets
from sesame.data.degraded_speech import degraded_dataset
from sesame.data.dynamic_mixing import mixed_dataset
from sesame.data.librimix import prepare_librimix
from sesame.data.manifest import read_manifest, write_manifest
from sesame.data.mixing import active_rms, mix_at_snr
from sesame.data.pipelines import paired_dataset
from sesame.data.segmental_snr import mix_at_segmental_snr, segmental_snr
from sesame.data.separation import separation_batch, separation_dataset
from sesame.data.speaker_mixing import speaker_mixture_dataset
from sesame.data.speech_shaped_noise import speech_shaped_noise
from sesame.data.vb_demandex import demandex_dataset
from sesame.data.voicebank_demand import prepare_voicebank_demand

__all__ = [
    "RandomCrop",
    "active_rms",
    "audio_info",
    "babble",
    "degraded_batch",
    "degraded_dataset",
    "demandex_dataset",
    "keyed_rng",
    "list_audio",
    "mix_at_segmental_snr",
    "mix_at_snr",
    "mixed_dataset",
    "multi_rate_dataset",
    "paired_dataset",
    "prepare_librimix",
    "prepare_voicebank_demand",
    "read_audio",
    "read_manifest",
    "remove_silence",
    "resample",
    "segmental_snr",
    "separation_batch",
    "separation_dataset",
    "speaker_mixture_dataset",
    "speech_shaped_noise",
    "task_datasets",
    "write_manifest",
]
