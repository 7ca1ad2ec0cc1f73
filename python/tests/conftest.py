"""Paths of the source tree; progress bars off."""

from pathlib import Path

import pytest

import stamp_quant

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def model_dir():
    return ROOT / "demo/llm"


@pytest.fixture
def text(model_dir):
    return model_dir / "heldout.txt"


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(autouse=True)
def quiet():
    stamp_quant.show_progress(False)
