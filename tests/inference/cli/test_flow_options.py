import argparse

import pytest

from sesame.inference.cli.flow_options import (
    OPTIONS,
    add_flow_options,
    given_flow_options,
    load_flow,
    model_is_seflow,
)


@pytest.fixture
def parse():
    parser = argparse.ArgumentParser()
    add_flow_options(parser)
    parser.add_argument("--device", default="cpu")
    return lambda *arguments: parser.parse_args(arguments)


def test_each_option_is_named_when_it_was_given(parse):
    assert given_flow_options(parse()) == []
    for option in OPTIONS.values():
        assert given_flow_options(parse(option, "1")) == [option]
    every = [word for option in OPTIONS.values() for word in (option, "1")]
    assert given_flow_options(parse(*every)) == list(OPTIONS.values())


@pytest.mark.parametrize(
    ("text", "width"), [("0.25", 0.25), ("1/4", 0.25), ("1", 1.0), ("3/8", 0.375)]
)
def test_a_width_is_a_number_or_a_fraction(parse, text, width):
    assert parse("--width", text).width == width


def test_a_width_beyond_all_numbers_is_refused_at_once(parse, flow_folder):
    with pytest.raises(ValueError, match=r"width \(inf\) must be a multiple of 1/4"):
        load_flow(str(flow_folder), parse("--width", "1e999999999"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--width", "wide"),
        ("--width", "1/0"),
        ("--width", "1/"),
        ("--width", "1/2/2"),
        ("--depth", "1.5"),
        ("--budget-gmacs", "some"),
    ],
)
def test_what_is_no_number_is_refused(parse, arguments):
    with pytest.raises(SystemExit):
        parse(*arguments)


def test_a_seflow_is_loaded_at_its_size(parse, flow_folder, model_folder):
    assert model_is_seflow(str(flow_folder)) and not model_is_seflow(str(model_folder))
    enhancer = load_flow(str(flow_folder), parse("--width", "1/2", "--depth", "2"))
    assert enhancer.size(16000) == (0.5, 2)
    enhancer = load_flow(str(flow_folder), parse("--budget-gmacs", "99"))
    assert enhancer.size(16000) == (1.0, 3)
    with pytest.raises(ValueError, match=r"width \(0.3\) must be a multiple of 1/4"):
        load_flow(str(flow_folder), parse("--width", "0.3"))
