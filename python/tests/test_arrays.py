"""NumPy arrays in place, and what is refused."""

import numpy as np
import pytest

import stamp_quant

SPEC = {
    "bits": 4,
    "sequence": {"transform": "haar", "skip_tokens": 1},
    "plan": {"kind": "two_level", "high_tokens": 8},
}


def random_walk(tokens=100, columns=48):
    steps = np.random.default_rng(0).standard_normal((tokens, columns))
    return np.cumsum(steps, axis=0).astype(np.float32)


@pytest.mark.parametrize("name", stamp_quant.sequence_transforms())
def test_transforms_come_back_in_place(name):
    x = random_walk(64)
    if name == "klt":
        with pytest.raises(ValueError, match="klt"):
            stamp_quant.transform(x, name)
        return
    y = x.copy()
    assert stamp_quant.transform(y, name, levels=3, out=y) is y
    if name != "identity":
        assert not np.allclose(x, y)
    stamp_quant.transform(y, name, levels=3, inverse=True, out=y)
    np.testing.assert_allclose(x, y, atol=1e-4)


def test_haar_makes_quantization_of_smooth_rows_better():
    x = random_walk()
    plain = SPEC | {"sequence": {"transform": "identity"}}
    errors = [np.square(stamp_quant.Quantizer(spec).apply(x) - x).sum() for spec in (SPEC, plain)]
    assert errors[0] < 0.7 * errors[1]


def test_quantizer_writes_into_out():
    x, out = random_walk(), np.empty((100, 48), np.float32)
    quantizer = stamp_quant.Quantizer(SPEC)
    assert quantizer.apply(x, out=out) is out
    np.testing.assert_array_equal(quantizer.apply(x), out)
    quantizer.apply(x, out=x)
    np.testing.assert_array_equal(x, out)


@pytest.mark.parametrize(
    "bad",
    [random_walk().astype(np.float64), random_walk()[:, ::2], random_walk().T, random_walk()[0], [[1.0, 2.0]]],
    ids=["float64", "strided", "fortran", "vector", "list"],
)
def test_other_arrays_are_refused(bad):
    with pytest.raises(ValueError, match="float32 array"):
        stamp_quant.transform(bad, "haar")


def test_read_only_memory_is_not_written():
    x = random_walk()
    x.flags.writeable = False
    before = x.copy()
    stamp_quant.hadamard(x)
    with pytest.raises(ValueError, match="may be written"):
        stamp_quant.hadamard(x, out=x)
    np.testing.assert_array_equal(x, before)


def test_output_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected \[100, 48\]"):
        stamp_quant.hadamard(random_walk(), out=np.empty((100, 49), np.float32))


def test_specs_are_checked():
    with pytest.raises(ValueError, match="activations.bits"):
        stamp_quant.Quantizer({"bits": 9})
    with pytest.raises(ValueError, match="unknown"):
        stamp_quant.Quantizer({"bit": 4})
    with pytest.raises(ValueError, match="calibrate"):
        stamp_quant.Quantizer({"bits": 4, "plan": {"kind": "waterfill"}}).widths(64)
