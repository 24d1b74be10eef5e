"""Names of the Mamba mixer: all of them, each once."""

from sesame.compat.codec import rename
from sesame.compat.mamba import DIRECTION_RULES, MIXER_RULES
from sesame.nnet import Mamba


def test_every_parameter_of_the_authors_has_its_place_in_ours(official):
    theirs = official("mamba_mixer")
    ours = Mamba(channels=16).state_dict()
    assert {rename(name, MIXER_RULES) for name in theirs} == set(ours)
    for name, value in theirs.items():
        assert value.shape == ours[rename(name, MIXER_RULES)].shape


def test_a_direction_holds_a_norm_and_a_mixer():
    assert rename("norm.weight", DIRECTION_RULES) == "norm.weight"
    assert rename("mixer.A_log", DIRECTION_RULES) == "mixer.log_decay"
