"""Every example in a docstring runs; every option of the library is in a signature."""

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stamp_quant


def members(prefix, owner):
    """(name, documentation) of what a module or class defines itself, and of the members of its classes."""
    yield prefix, getattr(owner, "__doc__", None) or ""
    for name, value in vars(owner).items():
        if name.startswith("_") or not (callable(value) or isinstance(value, property)):
            continue
        if isinstance(owner, type) or getattr(value, "__module__", None) == owner.__name__:
            if isinstance(value, type):
                yield from members(f"{prefix}.{name}", value)
            else:
                yield f"{prefix}.{name}", getattr(value, "__doc__", None) or ""


def documented():
    """Of all modules of the package; those whose own imports are not installed come as (name, None)."""
    for info in [None, *pkgutil.walk_packages(stamp_quant.__path__, "stamp_quant.")]:
        name = info.name if info else "stamp_quant"
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name.startswith("stamp_quant"):
                raise
            yield f"{name}: {error.name} is not installed", None
            continue
        yield from members(name, module)


DOCUMENTED = list(documented())
EXAMPLES = [(name, doc) for name, doc in DOCUMENTED if doc is None or ">>>" in doc]
# A line that is nothing but a call, or an assignment of one.
CALL = re.compile(r"\s*(\w+(, \w+)* = )?[\w.]+\(.*\)\s*(#.*)?")


def test_there_are_examples():
    names = {name.removeprefix("stamp_quant._native.") for name, _ in EXAMPLES}
    assert {"Model.generate", "Model.logits", "Model.logprobs", "load", "Quantizer", "stamp_quant._result.Result"} <= names


def test_every_call_is_an_example():
    for name, doc in DOCUMENTED:
        for line in (doc or "").splitlines():
            assert not CALL.fullmatch(line) or line.lstrip().startswith((">>>", "...")), f"{name}: {line}"


@pytest.mark.parametrize("name,doc", EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_example(name, doc, model_dir, text, tmp_path):
    if doc is None:
        pytest.skip(name)
    globs = {"stamp_quant": stamp_quant, "np": np, "model": str(model_dir), "text": str(text), "Result": stamp_quant.Result,
             "folder": tmp_path}
    test = doctest.DocTestParser().get_doctest(doc, globs, name, None, 0)
    for package in re.findall(r"^(?:import|from) (\w+)", "".join(example.source for example in test.examples), re.M):
        pytest.importorskip(package, reason=f"{name}: {package} is not installed")
    result = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL).run(test)
    assert result.failed == 0 and result.attempted > 0


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
