#!/usr/bin/env python3
"""Trains and evaluates the system that a YAML file describes.

To run this recipe::

    python train.py hparams/sesame.yaml --data_folder /path/to/voicebank_demand
    torchrun --standalone --nproc_per_node=2 train.py hparams/sesame.yaml

Every value of the YAML file can be given on the command line (``--batch_size 8``), as
can SpeechBrain's run options (``--device cpu``, ``--precision bf16``, ``--compile``,
``--grad_accumulation_factor 2``, ``--test_only``). A run that was stopped goes on from
its newest intact checkpoint when it is started again with the same ``output_folder``.
"""

import gc
import sys

import speechbrain as sb
import torch.distributed
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.distributed import ddp_init_group, run_on_main


def main():
    """Reads the command line, prepares the data, trains, tests the best epoch."""
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    ddp_init_group(run_opts)
    with open(hparams_file, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    sb.create_experiment_directory(
        experiment_directory=hparams["output_folder"],
        hyperparams_to_save=hparams_file,
        overrides=overrides,
    )
    if "prepare_data" in hparams:
        run_on_main(hparams["prepare_data"])
    brain = hparams["brain"](
        modules=hparams["modules"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.fit(
        epoch_counter=hparams["epoch_counter"],
        train_set=hparams["train_set"](),
        valid_set=hparams["valid_set"](),
        train_loader_kwargs=hparams["train_loader_options"],
        valid_loader_kwargs=hparams["test_loader_options"],
    )
    brain.evaluate(
        hparams["test_set"](),
        max_key=hparams["selection_metric"],
        test_loader_kwargs=dict(hparams["test_loader_options"]),
    )
    # Gloo's threads may still hold Python objects: an interpreter that shuts down
    # beside them now and then aborts, and torchrun then counts the run as failed.
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        # They end with the last that holds the group: the wrapped modules of the brain.
        del brain
        gc.collect()


if __name__ == "__main__":
    main()
