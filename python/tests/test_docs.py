"""Every example in a docstring runs; every option of the library is in a signature."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stamp_quant
from stamp_quant import _native


def documented():
    yield "Result", stamp_quant.Result
    for name, value in vars(_native).items():
        if name.startswith("_"):
            continue
        yield name, value
        if isinstance(value, type):
            yield from ((f"{name}.{key}", member) for key, member in vars(value).items() if not key.startswith("_"))


EXAMPLES = [(name, value.__doc__) for name, value in documented() if ">>>" in (getattr(value, "__doc__", None) or "")]


def test_there_are_examples():
    assert len(EXAMPLES) >= 12


@pytest.mark.parametrize("name,doc", EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_example(name, doc, model_dir, text):
    globs = {"stamp_quant": stamp_quant, "np": np, "model": str(model_dir), "text": str(text), "Result": stamp_quant.Result}
    test = doctest.DocTestParser().get_doctest(doc, globs, name, None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert runner.run(test).failed == 0


@pytest.mark.parametrize("name", ["evaluate", "compare", "quantize", "tune", "sensitivity", "image", "bench", "load"])
def test_documentation_lists_options(name):
    doc = getattr(stamp_quant, name).__doc__
    signature = doc.split("\n")[0]
    options = re.findall(r"^    (\w+): ", doc, re.M)
    assert len(options) >= 4
    for option in options:
        assert option in signature


def test_readme_script(root, tmp_path):
    """The script of README.md, on fewer windows."""
    section = (root / "README.md").read_text().split("## Python")[1]
    script = section.split("```python\n")[1].split("```")[0]
    assert len(script.strip().splitlines()) <= 12
    script = script.replace("windows=4", "windows=1, context=256").replace("demo/llm", str(root / "demo/llm"))
    environment = os.environ | {"PYTHONPATH": str(Path(stamp_quant.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    assert "haar" in done.stdout
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
