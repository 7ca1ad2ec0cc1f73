"""The environment and the models of the peers, made once and kept outside the source tree."""
import os
import subprocess
import sys
from pathlib import Path

TORCH = ["torch", "--index-url", "https://download.pytorch.org/whl/cpu"]


def installed(python, module):
    return subprocess.run([python, "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode == 0


def pip(python, arguments, **environment):
    print("installing", *arguments, file=sys.stderr)
    subprocess.run([python, "-m", "pip", "install", "-q", *arguments], check=True, env={**os.environ, **environment})


def install_llama_cpp(python):
    """From source: published wheels are not built for this processor."""
    pip(python, ["cmake", "ninja"])
    jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count()))
    pip(python, ["--no-binary", "llama-cpp-python", "llama-cpp-python"],
        CMAKE_ARGS="-DGGML_NATIVE=ON", CMAKE_BUILD_PARALLEL_LEVEL=jobs)  # fmt: skip


def install_torch(python):
    try:
        pip(python, TORCH)
    except subprocess.CalledProcessError:  # an index other than PyPI may be out of reach
        pip(python, TORCH[:1])


def make_torch_environment(venv, packages):
    """Python of an environment with PyTorch and `packages`."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    if not installed(python, "torch"):
        install_torch(python)
    missing = [package for package in packages if not installed(python, package)]
    if missing:
        pip(python, missing)
    return python


def make_environment(venv, torch_python, engines):
    """(python of llama.cpp and OpenVINO, python of PyTorch), with what `engines` need."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    if not installed(python, "gguf"):  # brings NumPy, which writing models needs
        pip(python, ["gguf"])
    if "openvino" in engines and not installed(python, "openvino_genai"):
        pip(python, ["openvino-genai"])
    if "llama.cpp" in engines and not installed(python, "llama_cpp"):
        install_llama_cpp(python)
    if "torch" in engines and torch_python is None and not installed(python, "torch"):
        install_torch(python)
    return python, torch_python or python


def make_models(python, directory, kinds):
    """{kind: path} of GGUF files with random weights."""
    paths = {}
    for kind in kinds:
        path = paths[kind] = directory / f"llama-3.2-1b-{kind}.gguf"
        if not path.exists():
            print("writing", path, file=sys.stderr)
            partial = path.with_suffix(".part")
            subprocess.run([python, Path(__file__).with_name("gguf_model.py"), kind, partial], check=True)
            partial.rename(path)
    return paths


def make_plain_directory(python, directory):
    """A Hugging Face directory of the same shape in bf16."""
    path = directory / "llama-3.2-1b"
    if not (path / "config.json").exists():
        print("writing", path, file=sys.stderr)
        partial = path.with_suffix(".part")
        script = Path(__file__).parents[2] / "tools" / "make_random_model.py"
        subprocess.run([python, script, "llama-3.2-1b", partial], check=True, stdout=subprocess.DEVNULL)
        partial.rename(path)
    return path
