"""stamp_quant.torch against the library: the same codes for the same input, the same KL of whole models."""

import numpy as np
import pytest

import stamp_quant

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the bridge is not tested")

from stamp_quant.torch import apply, remove  # noqa: E402
from stamp_quant.torch.attention import KvQuantizer  # noqa: E402
from stamp_quant.torch.linear import Input, rounded_weight  # noqa: E402
from stamp_quant.torch.sites import groups_of  # noqa: E402
from stamp_quant.torch.token_quantizer import TokenQuantizer  # noqa: E402
from stamp_quant.torch.transforms import Rotation  # noqa: E402


def random_walk(tokens, columns, seed=0):
    steps = np.random.default_rng(seed).standard_normal((tokens, columns))
    return np.cumsum(steps, axis=0).astype(np.float32)


def activations(recipe="w4a4kv4-stamp", **changes):
    spec = stamp_quant.recipe(recipe)["activations"]
    for key, value in changes.items():
        part, _, name = key.partition("__")
        if name:
            spec[part][name] = value
        else:
            spec[part] = value
    return spec


SPECS = {
    "haar": {},
    "haar_levels": {"sequence__levels": 3},
    "haar_blocks": {"sequence__block_tokens": 40, "plan__high_tokens": 8},
    "identity": {"sequence__transform": "identity"},
    "wht": {"sequence__transform": "wht"},
    "symmetric": {"quantizer__symmetric": True, "quantizer__clip": 0.9},
    "blocks": {"quantizer__block": 32},
    "uneven_blocks": {"quantizer__block": 20},
    "fraction": {"plan__kind": "fraction"},
    "uniform_3": {"plan__kind": "uniform", "bits": 3},
}


@pytest.mark.parametrize("tokens", [1, 2, 63, 96, 129])
@pytest.mark.parametrize("name", SPECS)
def test_reconstructions_are_equal_bit_for_bit(name, tokens):
    spec = activations(**SPECS[name])
    x = random_walk(tokens, 48)
    for position in (0, 5):
        want = stamp_quant.Quantizer(spec).apply(x, position)
        got = TokenQuantizer(spec).apply(torch.from_numpy(x)[None], position)[0].numpy()
        np.testing.assert_array_equal(got, want)


# Grids of 1 x 1 to 16 x 24, with sides that are odd, that levels exhaust, that the recipe gives.
@pytest.mark.parametrize("tokens,width", [(1, 0), (2, 0), (13, 0), (35, 0), (48, 4), (45, 9), (256, 0), (384, 16), (384, 0)])
@pytest.mark.parametrize("levels", [0, 1, 3, 9])
def test_two_dimensional_haar_is_equal_bit_for_bit(tokens, width, levels):
    changes = {"sequence__levels": levels, "plan__high_tokens": min(16, tokens)}
    spec = activations(sequence__transform="haar2d", sequence__grid_width=width, sequence__skip_tokens=0, **changes)
    x = random_walk(tokens, 48)
    want = stamp_quant.Quantizer(spec).apply(x)
    np.testing.assert_array_equal(TokenQuantizer(spec).apply(torch.from_numpy(x)).numpy(), want)
    # The width may also come from the picture.
    spec["sequence"]["grid_width"] = 0
    np.testing.assert_array_equal(TokenQuantizer(spec).apply(torch.from_numpy(x), grid_width=width).numpy(), want)


def test_a_grid_must_be_filled():
    spec = activations(sequence__transform="haar2d", sequence__grid_width=7, sequence__skip_tokens=0)
    with pytest.raises(ValueError, match="grid"):
        TokenQuantizer(spec).apply(torch.zeros(64, 8))


def assert_few_columns_moved(got, want):
    """A differing code moves all tokens of its column; everything else stays within rounding."""
    moved = (np.abs(got - want) > 1e-4 * np.abs(want).max()).any(axis=0)
    assert moved.sum() <= max(2, 1e-4 * want.size)


@pytest.mark.parametrize("tokens", [2, 63, 128])
@pytest.mark.parametrize("transform", ["dct", "dct2d"])
def test_dct_differs_by_its_rounding_only(transform, tokens):
    spec = activations(sequence__transform=transform, sequence__skip_tokens=0)
    x = random_walk(tokens, 512)
    want = stamp_quant.Quantizer(spec).apply(x)
    assert_few_columns_moved(TokenQuantizer(spec).apply(torch.from_numpy(x)).numpy(), want)


def test_waterfill_takes_its_widths_from_statistics():
    spec = activations("w4a4kv4-stamp-wf")
    range2 = np.geomspace(1000, 1, 128).tolist()
    x = random_walk(128, 32)
    want = stamp_quant.Quantizer(spec, range2).apply(x)
    got = TokenQuantizer(spec, {"range2": range2}).apply(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("columns,head_dim", [(64, 0), (384, 0), (1152, 0), (344, 0), (14 * 64, 64), (31 * 8, 0)])
def test_rotations_are_equal_bit_for_bit(columns, head_dim):
    x = random_walk(5, columns)
    want = stamp_quant.hadamard(x, head_dim)
    np.testing.assert_array_equal(Rotation(columns, head_dim).apply(torch.from_numpy(x)).numpy(), want)


def test_groups_of_columns_are_heads():
    spec = stamp_quant.recipe("kv4")["v"]
    spec.pop("rotation")
    x = random_walk(64, 96)
    want = stamp_quant.Quantizer(spec).apply(x, group=24)
    heads = torch.from_numpy(x).unflatten(-1, (4, 24)).transpose(0, 1)
    got = TokenQuantizer(spec).apply(heads).transpose(0, 1).flatten(-2).numpy()
    np.testing.assert_array_equal(got, want)


def test_rounded_weights_keep_dtype_and_device():
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    rounded = rounded_weight(weight, stamp_quant.recipe("w4a4kv4")["weights"], Rotation(64))
    assert rounded.dtype == torch.bfloat16 and rounded.shape == weight.shape


def mean_kl(plain, quantized):
    p, q = (torch.log_softmax(torch.as_tensor(x, dtype=torch.float64), -1) for x in (plain, quantized))
    return float((p.exp() * (p - q)).sum(-1).mean())


def tiny_language_model(family, demo, folder):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(1)
    if family == "demo":
        return transformers.AutoModelForCausalLM.from_pretrained(demo, dtype=torch.float32), demo
    cls, config_cls = {
        "llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig),
        "qwen2": (transformers.Qwen2ForCausalLM, transformers.Qwen2Config),
    }[family]
    config = config_cls(
        vocab_size=8192, hidden_size=96, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=family == "llama",
        initializer_range=0.3,
    )  # fmt: skip
    model = cls(config).eval()
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((demo / name).read_bytes())
    return model, folder


def with_activations(recipe, name, **changes):
    return stamp_quant.recipe(recipe) | {"name": name, "activations": activations(recipe, **changes)}


CENTERED = stamp_quant.recipe("w4a4kv4-stamp") | {"name": "centered", "center": "static"}

# Roundings amplify every difference in the order of sums: deep models agree in the mean of many windows only.
@pytest.mark.parametrize(
    "family,recipe",
    [("demo", "kv2")]
    + [
        (family, recipe)
        for family in ("llama", "qwen2")
        for recipe in ("w4a4kv4-stamp", "w4a4kv4", "w4a4kv4-stamp-wf", CENTERED)
    ],
    ids=str,
)
def test_language_models_lose_as_much(family, recipe, model_dir, text, tmp_path):
    model, folder = tiny_language_model(family, model_dir, tmp_path)
    library = stamp_quant.load(folder, recipe=recipe, execution="simulated", calibration=model_dir / "calibration.txt")
    plain = stamp_quant.load(folder)
    ids = plain.encode(text.read_text(encoding="utf-8")[:10000])
    length, windows = 256, 1 if family == "demo" else 3
    kl = {"library": 0.0, "torch": 0.0}
    for i in range(windows):
        window = [ids[0], *ids[1 + i * length : (i + 1) * length]]
        batch = torch.tensor([window])
        with torch.no_grad():
            reference = model(batch).logits[0]
            quantized = apply(model, recipe, library.statistics)(batch).logits[0]
            remove(model)
            assert torch.equal(model(batch).logits[0], reference)
        kl["torch"] += mean_kl(reference, quantized) / windows
        kl["library"] += mean_kl(plain.logits(window), library.logits(window)) / windows
    assert kl["library"] > 1e-5
    assert abs(kl["torch"] - kl["library"]) < 0.01 * kl["library"], kl


class Recorded:
    """Every input that a patched model quantizes, with what becomes of it."""

    def __init__(self, monkeypatch):
        self.inputs, self.parts = [], []
        quantize, stored = Input.quantize, KvQuantizer._stored

        def record_input(own, x):
            result = quantize(own, x)
            self.inputs.append((own, x.float().clone(), result.clone(), own.position.grid_width))
            return result

        def record_part(own, quantizer, x):
            result = stored(own, quantizer, x)
            self.parts.append((own, quantizer, x.clone(), result.clone()))
            return result

        monkeypatch.setattr(Input, "quantize", record_input)
        monkeypatch.setattr(KvQuantizer, "_stored", record_part)

    def check(self, groups, exact=True):
        """Against the library's rotation and quantizer, fed with the same input."""
        heads = {id(linear.stamp_input): group.head_dim for group in groups for linear in group.linears}
        assert {id(own) for own, *_ in self.inputs} == set(heads)
        for own, x, got, grid_width in self.inputs:
            want = np.ascontiguousarray(x.reshape(-1, x.shape[-1]).numpy())
            assert x.shape[:-2].numel() == 1
            if own.rotation is not None:
                want = stamp_quant.hadamard(want, heads[id(own)])
            if own.mean is not None:
                want = want - own.mean.numpy()
            spec = own.quantizer.spec | {"sequence": own.quantizer.spec["sequence"] | {"grid_width": grid_width}}
            want = stamp_quant.Quantizer(spec, own.quantizer.range2).apply(want)
            got = got.reshape(want.shape).numpy()
            if exact:
                np.testing.assert_array_equal(got, want)
            else:
                assert_few_columns_moved(got, want)
        for own, quantizer, x, got in self.parts:
            for head in range(x.shape[1]):
                want = x[0, head].contiguous().numpy()
                closed = len(want) // own.block * own.block
                for first in range(0, closed, own.block):
                    block = np.ascontiguousarray(want[first : first + own.block])
                    want[first : first + own.block] = stamp_quant.Quantizer(
                        quantizer.spec, quantizer.range2
                    ).apply(block, first)
                np.testing.assert_array_equal(got[0, head].numpy(), want)


@pytest.mark.parametrize("recipe", ["w4a4kv4-stamp", "w4a4kv4", "w4a4kv4-stamp-wf", CENTERED], ids=str)
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_codes_of_every_layer_of_language_models_are_equal(family, recipe, model_dir, tmp_path, monkeypatch):
    model, folder = tiny_language_model(family, model_dir, tmp_path)
    library = stamp_quant.load(folder, recipe=recipe, execution="simulated", calibration=model_dir / "calibration.txt")
    recorded = Recorded(monkeypatch)
    apply(model, recipe, library.statistics)
    ids = np.random.default_rng(5).integers(0, 8192, (1, 200))
    with torch.no_grad():
        model(torch.from_numpy(ids))
    assert len(recorded.inputs) == 2 * 7 and len(recorded.parts) == 2 * 2
    if recipe is CENTERED:
        assert all(own.mean is not None for own, *_ in recorded.inputs)
    recorded.check(groups_of(model))


def test_cached_decoding_is_what_one_pass_gives(model_dir):
    """Token by token the rows of activations stand alone, so the recipe quantizes K and V only."""
    model, _ = tiny_language_model("demo", model_dir, None)
    apply(model, "kv4")
    ids = torch.arange(3, 150)[None]
    with torch.no_grad():
        whole = model(ids).logits[0]
        first = model(ids[:, :100], use_cache=True)
        rest, cache = [], first.past_key_values
        for i in range(100, ids.shape[1]):
            out = model(ids[:, i : i + 1], past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            rest.append(out.logits[0, -1])
    torch.testing.assert_close(torch.stack(rest), whole[100:], rtol=1e-3, atol=1e-3)


def test_what_is_not_simulated_is_refused(model_dir):
    model, _ = tiny_language_model("demo", model_dir, None)
    with pytest.raises(NotImplementedError, match="feature.*none, hadamard.*quarot"):
        apply(model, "paper-quarot")
    with pytest.raises(ValueError, match="statistics"):
        apply(model, "w4a4kv4-stamp-wf")
    with pytest.raises(NotImplementedError, match="Sequential"):
        apply(torch.nn.Sequential(torch.nn.Linear(4, 4)), "w4a4kv4")
    apply(model, "w4a4kv4")
    with pytest.raises(ValueError, match="already"):
        apply(model, "w4a4kv4")
    remove(remove(model))


def test_excluded_linears_stay(model_dir):
    model, _ = tiny_language_model("demo", model_dir, None)
    recipe = stamp_quant.recipe("w4a4kv4") | {"name": "no down", "exclude": ["layers.0.mlp.down_proj"]}
    apply(model, recipe)
    assert not hasattr(model.model.layers[0].mlp.down_proj, "stamp_weight")
    assert hasattr(model.model.layers[1].mlp.down_proj, "stamp_weight")


def tiny_image_transformer(family, folder):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    torch.manual_seed(2)
    common = {"in_channels": 4, "out_channels": 4, "num_layers": 2, "caption_channels": 24, "sample_size": 32}
    if family == "pixart":
        model = diffusers.PixArtTransformer2DModel(
            num_attention_heads=4, attention_head_dim=16, cross_attention_dim=64, patch_size=2,
            use_additional_conditions=False, **common
        )  # fmt: skip
    else:
        model = diffusers.SanaTransformer2DModel(
            num_attention_heads=4, attention_head_dim=16, num_cross_attention_heads=4, cross_attention_head_dim=16,
            cross_attention_dim=64, patch_size=1, mlp_ratio=2.0, **common
        )  # fmt: skip
    model.save_pretrained(folder)
    return model.eval()


def image_inputs(height, width, seed=0):
    walk = random_walk(4 * height, width, seed).reshape(4, height, width)
    latent = (walk / np.abs(walk).max() * 3).astype(np.float32)
    text = np.random.default_rng(3).standard_normal((9, 24)).astype(np.float32)
    mask = [True] * 7 + [False] * 2
    return latent, text, mask


def torch_inputs(family, latent, text, mask):
    inputs = {
        "hidden_states": torch.from_numpy(latent)[None],
        "encoder_hidden_states": torch.from_numpy(text)[None],
        "encoder_attention_mask": torch.tensor([mask]),
        "timestep": torch.tensor([500]),
    }
    if family == "pixart":
        inputs["added_cond_kwargs"] = {"resolution": None, "aspect_ratio": None}
    return inputs


IMAGE_RECIPES = {
    "haar": stamp_quant.recipe("w4a4kv4-stamp"),
    "no L": stamp_quant.recipe("w4a4kv4"),
    "haar2d": with_activations("image-w4a4-stamp", "haar2d", plan__high_tokens=16),
    "haar2d, one scale": with_activations("image-w4a4-stamp", "a", plan__high_tokens=16, quantizer__block=0),
    "dct2d": with_activations("image-w4a4-stamp", "dct2d", sequence__transform="dct2d", plan__high_tokens=16),
    "wht": with_activations("image-w4a4-stamp", "wht", sequence__transform="wht", plan__high_tokens=16),
}


@pytest.mark.parametrize("name", IMAGE_RECIPES)
@pytest.mark.parametrize("family", ["pixart", "sana"])
def test_codes_of_every_layer_of_image_transformers_are_equal(family, name, tmp_path, monkeypatch):
    model = tiny_image_transformer(family, tmp_path)
    recorded = Recorded(monkeypatch)
    apply(model, IMAGE_RECIPES[name])
    patch = model.config.patch_size
    with torch.no_grad():
        model(**torch_inputs(family, *image_inputs(20 * patch, 12 * patch)))
    assert all(x.shape[-2] == 240 and width == 12 for _, x, _, width in recorded.inputs)
    recorded.check(groups_of(model), exact="dct" not in name)


# Of grids that are higher than wide the library is told, PyTorch sees them. One code that differs moves a picture's error by
# percents, so that several are drawn.
@pytest.mark.parametrize("grid", [(16, 16), (12, 20), (20, 12)], ids=str)
@pytest.mark.parametrize("name", IMAGE_RECIPES)
@pytest.mark.parametrize("family", ["pixart", "sana"])
def test_image_transformers_lose_as_much(family, name, grid, tmp_path):
    model, recipe = tiny_image_transformer(family, tmp_path), IMAGE_RECIPES[name]
    width = {"sequence": recipe["activations"]["sequence"] | {"grid_width": grid[1]}}
    library = {
        name: stamp_quant.ImageTransformer(tmp_path, recipe=own, execution="simulated")
        for name, own in (("plain", None), ("quantized", recipe | {"activations": recipe["activations"] | width}))
    }
    pictures = [image_inputs(*(model.config.patch_size * side for side in grid), seed) for seed in range(8)]

    def predict_torch():
        with torch.no_grad():
            return np.stack([model(**torch_inputs(family, *inputs), return_dict=False)[0][0].numpy() for inputs in pictures])

    def predict_library(name):
        return np.stack([library[name].predict(latent, 500.0, text, mask) for latent, text, mask in pictures])

    plain = predict_torch()
    np.testing.assert_allclose(plain, predict_library("plain"), atol=1e-4 * np.abs(plain).max())
    quantized = apply(model, recipe) and predict_torch()
    remove(model)
    np.testing.assert_array_equal(predict_torch(), plain)
    errors = [np.square(quantized - plain).mean(), np.square(predict_library("quantized") - plain).mean()]
    assert errors[1] > 1e-6 * np.square(plain).mean()
    assert abs(errors[0] - errors[1]) < 0.01 * errors[1], errors
