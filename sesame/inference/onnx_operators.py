"""Operators that torch's exporter does not know, in terms of those that ONNX has.

The exporter writes each as the call of a function, and the function is defined here. A
selective scan becomes the ``Scan`` operator: a loop over the steps, however many there
are.
"""

from typing import Any

import torch
from torch.onnx.symbolic_helper import parse_args

__all__ = ["OPSET", "expand_operators", "register_operators"]

OPSET = 17
_HEADER = f'<domain: "sesame", opset_import: ["" : {OPSET}]>'
_RMS_NORM = """
RMSNorm <axes, epsilon> (x, weight) => (y)
{
    squares = Mul (x, x)
    mean = ReduceMean <axes: ints = @axes> (squares)
    least = Constant <value_float: float = @epsilon> ()
    positive = Add (mean, least)
    root = Sqrt (positive)
    unit = Div (x, root)
    y = Mul (unit, weight)
}
"""
# The state is (N, P, I): it takes half of the time that (N, I, P) takes.
_SELECTIVE_SCAN = """
SelectiveScan <inputs, outputs> (u, delta, A, B, C, D) => (y)
{
    rates = Transpose <perm = [1, 0]> (A)
    count = Shape <start = 0, end = 1> (u)
    size = Shape (rates)
    shape = Concat <axis = 0> (count, size)
    start = ConstantOfShape (shape)
    states = Constant <value_ints = [1]> ()
    channels = Constant <value_ints = [2]> ()
    end, y = Scan <
        num_scan_inputs = 4,
        scan_input_axes = [1, 1, 1, 1],
        scan_output_axes = [1],
        scan_input_directions: ints = @inputs,
        scan_output_directions: ints = @outputs,
        body = step (
            float[N, P, I] before, float[N, I] u_t, float[N, I] delta_t,
            float[N, P] B_t, float[N, P] C_t
        ) => (float[N, P, I] after, float[N, I] y_t)
        {
            wide_delta = Unsqueeze (delta_t, states)
            exponent = Mul (wide_delta, rates)
            decay = Exp (exponent)
            kept = Mul (decay, before)
            weighted = Mul (delta_t, u_t)
            wide_weighted = Unsqueeze (weighted, states)
            wide_B = Unsqueeze (B_t, channels)
            gained = Mul (wide_weighted, wide_B)
            after = Add (kept, gained)
            wide_C = Unsqueeze (C_t, states)
            wide_read = MatMul (wide_C, after)
            read = Squeeze (wide_read, states)
            direct = Mul (D, u_t)
            y_t = Add (read, direct)
        }
    > (start, u, delta, B, C)
}
"""


def register_operators() -> None:
    """Teaches torch's exporter to write the functions of this module.

    Example
    -------
    >>> register_operators()
    """
    for name, write in {
        "aten::rms_norm": _write_rms_norm,
        "sesame::selective_scan": _write_selective_scan,
    }.items():
        torch.onnx.register_custom_op_symbolic(name, write, OPSET)


def expand_operators(model: Any) -> Any:
    """Replaces the calls of the functions by what they do.

    Arguments
    ---------
    model : Any
        An exported network, an ``onnx.ModelProto``.

    Returns
    -------
    Any
        The same network of ONNX's own operators only.

    Example
    -------
    >>> from onnx import parser
    >>> model = parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["" : 17, "sesame" : 1]>
    ...     network (float[N, C] x, float[C] weight) => (float[N, C] y)
    ...     { y = sesame.RMSNorm <axes = [-1], epsilon = 1e-5> (x, weight) }''')
    >>> [node.op_type for node in expand_operators(model).graph.node]
    ['Mul', 'ReduceMean', 'Constant', 'Add', 'Sqrt', 'Div', 'Mul']
    """
    from onnx import inliner, parser

    for text in (_RMS_NORM, _SELECTIVE_SCAN):
        model.functions.append(parser.parse_function(_HEADER + text))
    model = inliner.inline_local_functions(model)
    known = [entry for entry in model.opset_import if not entry.domain]
    del model.opset_import[:]
    model.opset_import.extend(known)
    return model


@parse_args("v", "is", "v", "f")
def _write_rms_norm(graph, x, shape, weight, epsilon):
    axes = list(range(-len(shape), 0))
    y = graph.op("sesame::RMSNorm", x, weight, axes_i=axes, epsilon_f=epsilon)
    y.setType(x.type())
    return y


@parse_args("v", "v", "v", "v", "v", "v", "b", "none")
def _write_selective_scan(graph, u, delta, A, B, C, D, reverse, form):
    y = graph.op(
        "sesame::SelectiveScan",
        *(u, delta, A, B, C, D),
        inputs_i=[int(reverse)] * 4,
        outputs_i=[int(reverse)],
    )
    y.setType(u.type())
    return y
