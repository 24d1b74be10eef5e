"""Which form runs where, and which shapes it refuses."""

import importlib
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from sesame.nnet.selective_scan import selective_scan
from sesame.nnet.selective_scan.reference import scan_reference

# Not by attribute: a function of the package above may bear the package's name.
MODULE = importlib.import_module(selective_scan.__module__)
SIZE = (2, 19, 3, 4)


@pytest.mark.parametrize("form", [None, "reference", "sequential"])
def test_forms_agree(draw_inputs, form):
    inputs = draw_inputs(SIZE)
    for reverse in (False, True):
        expected = scan_reference(*inputs, reverse)
        y = selective_scan(*inputs, reverse=reverse, form=form)
        torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)


def test_reverse_and_forward_differ(draw_inputs):
    inputs = draw_inputs(SIZE)
    ways = [selective_scan(*inputs, reverse=reverse) for reverse in (False, True)]
    assert not torch.allclose(*ways)


@pytest.mark.parametrize(
    ("is_cuda", "dtype", "has_triton", "form"),
    [
        (False, torch.float32, True, "sequential"),
        (True, torch.float32, True, "triton"),
        (True, torch.bfloat16, True, "triton"),
        (True, torch.float64, True, "sequential"),
        (True, torch.float32, False, "sequential"),
    ],
)
def test_the_device_chooses_the_form(monkeypatch, is_cuda, dtype, has_triton, form):
    monkeypatch.setattr(MODULE, "find_spec", lambda name: has_triton or None)
    assert MODULE._choose(SimpleNamespace(is_cuda=is_cuda, dtype=dtype)) == form


@pytest.mark.filterwarnings("error::torch.jit.TracerWarning")
def test_a_traced_program_runs_at_other_lengths_and_batches(draw_inputs):
    def draw(*size):
        return [x.detach() for x in draw_inputs(size, seed=1)]

    traced = torch.jit.trace(selective_scan, draw(2, 5, 3, 4))
    for size in ((1, 1, 3, 4), (3, 5, 3, 4), (2, 20, 3, 4)):
        inputs = draw(*size)
        assert torch.equal(traced(*inputs), selective_scan(*inputs))
    u, *rest = draw(2, 5, 3, 4)
    with pytest.raises(RuntimeError, match=r"delta \(2, 5, 3\) must be"):
        traced(u[:, :4], *rest)


def test_mamba_ssm_is_asked_in_its_own_layout(monkeypatch, draw_inputs):
    """Its kernel takes (N, I, S), and knows one direction."""

    def selective_scan_fn(u, delta, A, B, C, D):
        u, delta, B, C = (x.transpose(1, 2) for x in (u, delta, B, C))
        return scan_reference(u, delta, A, B, C, D).transpose(1, 2)

    interface = "mamba_ssm.ops.selective_scan_interface"
    for name in ("mamba_ssm", "mamba_ssm.ops", interface):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[interface].selective_scan_fn = selective_scan_fn
    inputs = draw_inputs(SIZE, torch.float32)
    for reverse in (False, True):
        y = selective_scan(*inputs, reverse=reverse, form="mamba_ssm")
        assert torch.equal(y, scan_reference(*inputs, reverse))


def test_an_absent_mamba_ssm_is_named_with_its_remedy(monkeypatch, draw_inputs):
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    with pytest.raises(ImportError, match="pip install mamba-ssm"):
        selective_scan(*draw_inputs(SIZE), form="mamba_ssm")


def test_an_unknown_form_is_named(draw_inputs):
    with pytest.raises(ValueError, match=r"form \('fast'\) must be None or one of"):
        selective_scan(*draw_inputs(SIZE), form="fast")


@pytest.mark.parametrize("name", ["u", "delta", "A", "B", "C", "D"])
def test_a_shape_that_contradicts_the_others_is_named(draw_inputs, name):
    names = ("u", "delta", "A", "B", "C", "D")
    inputs = dict(zip(names, draw_inputs(SIZE), strict=True))
    for broken in (inputs[name][..., :-1], inputs[name].unsqueeze(0)):
        with pytest.raises(ValueError, match=r"\w+ \(.*\) must be \("):
            selective_scan(**{**inputs, name: broken})


def test_a_sequence_without_steps_is_refused(draw_inputs):
    with pytest.raises(ValueError, match=r"u \(2, 0, 3\) must be .* S >= 1"):
        selective_scan(*draw_inputs((2, 0, 3, 4)))


@pytest.mark.parametrize("form", ["reference", "sequential"])
def test_no_sequences_give_no_outputs(draw_inputs, form):
    assert selective_scan(*draw_inputs((0, 5, 3, 4)), form=form).shape == (0, 5, 3)


def test_a_compiled_program_calls_the_scan_as_it_is(draw_inputs):
    """Graphs before and after it are short, whatever the length; gradients agree."""
    graphs = []

    def backend(graph, example_inputs):
        graphs.append(len(graph.graph.nodes))
        return graph

    def program(u, *others):
        return selective_scan(2.0 * u, *others).square()

    compiled = torch.compile(program, backend=backend)
    for steps in (3, 30):
        inputs = draw_inputs((2, steps, 4, 3), torch.float64)
        ours, expected = compiled(*inputs), program(*inputs)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
        for mine, other in zip(
            torch.autograd.grad(ours.sum(), inputs),
            torch.autograd.grad(expected.sum(), inputs),
            strict=True,
        ):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)
    assert graphs and max(graphs) < 20
