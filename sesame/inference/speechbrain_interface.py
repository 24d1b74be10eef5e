"""SpeechBrain's inference interface to a model folder.

``SesameEnhancement.from_hparams`` runs the folder's ``hyperparams.yaml`` as code, as
every SpeechBrain interface does. Nothing else in this package reads that file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.inference.interfaces import Pretrained
from torch import Tensor

from .audio_files import read_audio
from .enhancer import Enhancer
from .model_folder import HYPERPARAMS_FILE, WEIGHTS_FILE, load_weights
from .resampling import resample

__all__ = ["SesameEnhancement"]


class SesameEnhancement(Pretrained):
    """A model folder as a SpeechBrain ``Pretrained``; an ``Enhancer`` does the work.

    Other than most of SpeechBrain's interfaces, it refuses weights that are not exactly
    those of the network, heeds ``lengths``, keeps levels, and neither links nor copies
    files. ``run_opts`` works as usual: ``device``, ``precision``, ``compile``.

    Arguments
    ---------
    modules : Mapping[str, nn.Module]
        ``generator``: maps compressed (magnitude, phase) to the same pair.
    hparams : Mapping[str, Any]
        ``transform``, a CompressedSTFT, and ``sample_rate`` [Hz].
    run_opts : RunOptions | Mapping[str, Any] | None
        SpeechBrain's run options.
    freeze_params : bool
        Freeze the parameters.

    Example
    -------
    >>> from sesame.inference import save_model_folder
    >>> from sesame.models import MPSENet
    >>> arguments = {"num_bins": 9, "channels": 4, "num_blocks": 1, "num_heads": 2}
    >>> transform = dict(n_fft=16, hop_length=4, win_length=16, exponent=0.3)
    >>> weights = MPSENet(**arguments).state_dict()
    >>> folder = getfixture("tmp_path")
    >>> save_model_folder(folder, "MPSENet", arguments, transform, 16000, weights)
    >>> model = SesameEnhancement.from_hparams(folder, run_opts={"device": "cpu"})
    >>> model.enhance_batch(torch.randn(2, 500), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 500])
    """

    HPARAMS_NEEDED = ("transform", "sample_rate")
    MODULES_NEEDED = ("generator",)

    @classmethod
    def from_hparams(
        cls,
        source: str | Path,
        hparams_file: str = HYPERPARAMS_FILE,
        savedir: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        overrides_must_match: bool = True,
        **kwargs: Any,
    ) -> "SesameEnhancement":
        """Loads a local model folder. Only for folders you trust: this runs code.

        Files are read where they are; there is no download. For a model of the
        Hugging Face Hub use ``Enhancer.from_pretrained("hf://owner/name")``.

        Arguments
        ---------
        source : str | Path
            Model folder with ``hyperparams.yaml`` and ``model.safetensors``.
        hparams_file : str
            Name of the HyperPyYAML file in it.
        savedir : str | Path | None
            Where other SpeechBrain interfaces link or copy files to; not needed here
            and not written to.
        overrides : Mapping[str, Any] | None
            Changes to values of the HyperPyYAML file.
        overrides_must_match : bool
            Refuse overrides of entries that are not there.
        **kwargs : Any
            ``run_opts`` and ``freeze_params``.

        Returns
        -------
        SesameEnhancement
            Ready to be called.

        Raises
        ------
        ValueError
            If the folder or a file is missing, the HyperPyYAML file has no generator,
            or the weights are not those of the network.

        Example
        -------
        >>> SesameEnhancement.from_hparams("no/such/model")
        Traceback (most recent call last):
        ValueError: model folder no/such/model must hold hyperparams.yaml and ...
        """
        folder = Path(source)
        for name in (hparams_file, WEIGHTS_FILE):
            if not (folder / name).is_file():
                missing = f"{name} is missing"
                what = missing if folder.is_dir() else "there is no such folder"
                raise ValueError(
                    f"model folder {folder} must hold {hparams_file} and "
                    f"{WEIGHTS_FILE}: {what}"
                )
        with open(folder / hparams_file, encoding="utf-8") as file:
            settings = load_hyperpyyaml(file, overrides or {}, overrides_must_match)
        modules = settings.get("modules") or {}
        # SpeechBrain checks HPARAMS_NEEDED only.
        for name in cls.MODULES_NEEDED:
            if name not in modules:
                raise ValueError(f"modules of {folder / hparams_file} must have {name}")
        load_weights(modules["generator"], folder / WEIGHTS_FILE)
        return cls(modules=modules, hparams=settings, **kwargs)

    @property
    def sample_rate(self) -> int:
        """Rate of the network, Hz."""
        return self.hparams.sample_rate

    @property
    def enhancer(self) -> Enhancer:
        """The enhancer, on the device where the network is now."""
        transform = self.hparams.transform
        return Enhancer(self.mods.generator, transform, self.sample_rate, self.device)

    def _apply(self, *args: Any, **kwargs: Any) -> "SesameEnhancement":
        """What every move of a module to a device goes through."""
        super()._apply(*args, **kwargs)
        self.device = str(next(self.mods.parameters()).device)
        return self

    def enhance_batch(self, noisy: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Enhances waveforms as if each came alone.

        Shape: noisy (B, L), lengths (B,) -> (B, L), zeros after the end of each item.

        Arguments
        ---------
        noisy : Tensor
            Waveforms at the network's rate.
        lengths : Tensor | None
            Share of L that each item fills, in (0, 1]; all of it for ``None``.

        Returns
        -------
        Tensor
            As ``noisy``.

        Raises
        ------
        ValueError
            If shapes, dtypes or lengths do not fit, or a waveform is not finite.
        """
        with self.inference_ctx:
            return self.enhancer.enhance_batch(noisy, lengths)

    def forward(self, noisy: Tensor, lengths: Tensor | None = None) -> Tensor:
        """``enhance_batch`` under the name that SpeechBrain calls a module by."""
        return self.enhance_batch(noisy, lengths)

    def enhance_file(
        self,
        filename: str | Path,
        output_filename: str | Path | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Enhances an audio file.

        Shape: -> (L,) for one channel, else (channels, L).

        Arguments
        ---------
        filename : str | Path
            Any format that libsndfile reads.
        output_filename : str | Path | None
            File to write with the rate, channels and length of the first; a file that
            is there is refused unless ``overwrite=True``.
        **kwargs : Any
            As of ``Enhancer.enhance_file``, or of ``Enhancer.__call__`` where no file
            is written.

        Returns
        -------
        Tensor
            Enhanced signal at the network's rate and on its device; with
            ``output_filename``, what that file holds.

        Raises
        ------
        ValueError
            If the file cannot be read, enhanced or written.
        """
        with self.inference_ctx:
            if output_filename is None:
                noisy = self.load_audio(filename)
                return self.enhancer(noisy, self.sample_rate, **kwargs)
            self.enhancer.enhance_file(filename, output_filename, **kwargs)
        return self.load_audio(output_filename)

    def load_audio(self, path: str | Path) -> Tensor:
        """Reads a local audio file at the network's rate, all of its channels.

        Shape: -> (L,) for one channel, else (channels, L).

        Arguments
        ---------
        path : str | Path
            Any format that libsndfile reads, at any rate.

        Returns
        -------
        Tensor
            float32 on the network's device.

        Raises
        ------
        ValueError
            If the file is missing, is not audio or has no sample.
        """
        audio = read_audio(path)
        waveform = resample(audio.waveform, audio.sample_rate, self.sample_rate)
        signal = torch.from_numpy(waveform.copy()).to(self.device, torch.float32)
        return signal[0] if len(signal) == 1 else signal
