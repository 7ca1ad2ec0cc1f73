"""Pictures from the small pipeline of the tests."""
import warnings

import numpy
import pytest

import stamp_quant as stamp

STYLE = dict(prompts=["a red ball", "ball"], width=16, height=24, steps=3)


@pytest.fixture(scope="session")
def pipeline(root):
    return root / "tests/data/oracles/pipe/pixart_words/ckpt"


def test_seeds_and_shapes(pipeline):
    first, second = stamp.image(pipeline, **STYLE)
    assert first.shape == second.shape == (24, 16, 3) and first.dtype == numpy.uint8
    again, = stamp.image(pipeline, **{**STYLE, "prompts": "ball"}, seed=1)
    assert (again == second).all()


def test_previews(pipeline):
    seen = []
    pictures = stamp.image(pipeline, **STYLE, preview=1,
                           on_preview=lambda *event: seen.append(event))
    assert [(index, step) for index, step, _ in seen] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert all(picture.shape == (24, 16, 3) for _, _, picture in seen)
    assert not (seen[0][2] == pictures[0]).all()


def test_simulated_pictures_are_announced(pipeline):
    settings = dict(prompts="a", steps=1, width=16, height=16)
    weights = {"bits": 4, "group": 0, "symmetric": False}
    with pytest.warns(UserWarning, match="ran simulated, not in integers"):
        stamp.image(pipeline, **settings, recipe={"schema": 1, "name": "uneven", "weights": weights})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stamp.image(pipeline, **settings, recipe="image-w4a4-stamp")
        stamp.image(pipeline, **settings, recipe="image-w4a4-stamp", execution="simulated")


def test_an_error_in_a_preview_ends_the_run(pipeline):
    def fail(*_):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        stamp.image(pipeline, **STYLE, preview=1, on_preview=fail)


def test_recipes_are_compared(pipeline):
    result = stamp.compare_images(pipeline, recipes=["bf16", "image-w4a4-stamp"], **STYLE)
    assert [row["recipe"]["name"] for row in result["rows"]] == ["bf16", "image-w4a4-stamp"]
    assert "<html" in result.html.lower()


@pytest.mark.parametrize("wrong", [dict(width=15), dict(steps=0), dict(preview=-1), dict(prompts=[])])
def test_refuses_absurd_options(pipeline, wrong):
    with pytest.raises(ValueError, match="expected"):
        stamp.image(pipeline, **{**STYLE, **wrong})
