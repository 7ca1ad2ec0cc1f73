"""STaMP: sequence transformation and mixed precision for low-bit inference (arXiv 2510.26771).

Models run and are measured by the compiled library; functions that take a recipe accept a preset's name, the path of a
JSON file, or a dictionary. Options are those of the command line. Errors are ValueError for what was asked and
RuntimeError for files and the system, with the library's messages; Ctrl-C raises KeyboardInterrupt.

`stamp_quant.torch` simulates recipes in PyTorch.
"""

from ._native import *  # noqa: F403
from ._native import __version__  # noqa: F401
from ._progress import show_progress
from ._result import Result  # noqa: F401

show_progress()
