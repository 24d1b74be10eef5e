"""The command line of the library, ``sesame COMMAND``; one module per command.

Modules load what they need when a command runs: ``--help`` and mistakes in the
arguments are answered at once.
"""

from .main import main

__all__ = ["main"]
