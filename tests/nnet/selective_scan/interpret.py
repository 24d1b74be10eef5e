"""Runs a Python file with Triton's interpreter, which takes tensors on a CPU.

Triton chooses between its compiler and its interpreter once, when it is imported: tests
that need the interpreter run their own file through this one in another process.
"""

import os
import runpy
import sys

os.environ["TRITON_INTERPRET"] = "1"


def _let_interpreter_count():
    """Triton 3.6 calls int() on arrays of one element, which NumPy 2.4 refuses."""
    from triton.runtime import interpreter

    patch = interpreter._patch_lang_tensor

    def patch_all(tensor, scope):
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = patch_all


if __name__ == "__main__":
    _let_interpreter_count()
    runpy.run_path(sys.argv[1], run_name="__main__")
