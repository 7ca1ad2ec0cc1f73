"""Simulated quantization of PyTorch models, on any device, with the recipes and the roundings of the library.

>>> import torch
>>> from stamp_quant.torch import apply, remove
>>> from transformers import LlamaConfig, LlamaForCausalLM
>>> model = LlamaForCausalLM(LlamaConfig(vocab_size=99, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
...                                      num_attention_heads=2, max_position_embeddings=256)).eval()
>>> ids = torch.arange(90)[None]
>>> with torch.no_grad():
...     plain = model(ids).logits
...     quantized = apply(model, "w4a4kv4-stamp")(ids).logits     # patched in place
>>> 0 < float((quantized - plain).abs().max()) < 1
True
>>> with torch.no_grad():
...     torch.equal(remove(model)(ids).logits, plain)             # as it was
True

Inputs of linears are rotated, transformed along the tokens, rounded and transformed back; weights are replaced by their
reconstruction; language models attend to K and V as the cache would hold them. Gradients do not pass through roundings.
Sequences of a batch start at token 0 (or where the cache ends) together: no padding on the left.
"""

from stamp_quant import recipe as read_recipe

from . import attention, linear, recipes, sites
from .attention import KvQuantizer

__all__ = ["apply", "remove"]


def _patch_groups(model, recipe, position, statistics):
    for group in sites.groups_of(model):
        own = recipes.recipe_for_layer(recipe, group.layer)
        quantizes = own["weights"]["bits"] < 16 or own["activations"]["bits"] < 16
        if not quantizes or recipes.excludes(recipe, group.names):
            continue
        rotation = None
        if recipe["feature"] == "hadamard":
            rotation = linear.Rotation(group.linears[0].weight.shape[1], group.head_dim)
        spec = recipes.spec_of_site(own, group.site, "activations")
        source = linear.Input(spec, rotation, position, statistics.get(group.site), recipe["center"] != "none")
        for module in group.linears:
            linear.patch_linear(module, source, own["weights"], group.head_dim)


def _patch_attention(model, recipe, statistics):
    if recipe["k"]["bits"] == 16 and recipe["v"]["bits"] == 16:
        return
    attention.register()
    for i, layer in enumerate(sites.decoder_layers(model)):
        own = recipes.recipe_for_layer(recipe, i)
        for part in ("k", "v"):
            own[part] = recipes.spec_of_site(own, f"layers.{i}.{part}", part)
        layer.self_attn.stamp_kv = KvQuantizer(
            own, layer.self_attn.head_dim, statistics.get(f"layers.{i}.k"), statistics.get(f"layers.{i}.v")
        )
    model.stamp_attention = model.config._attn_implementation
    model.config._attn_implementation = "stamp"


def _patch_tables(model, recipe):
    if recipe["lm_head"]["bits"] < 16:
        linear.patch_table(model.get_output_embeddings(), recipe["lm_head"])
    if recipe["embedding_bits"] < 16:
        linear.patch_table(model.get_input_embeddings(), {"bits": recipe["embedding_bits"]})


def _follow_position(model, position):
    def note(module, args, kwargs):
        cache = kwargs.get("past_key_values")
        position.value = int(cache.get_seq_length()) if cache is not None else 0

    model.stamp_hook = model.model.register_forward_pre_hook(note, with_kwargs=True)


def _follow_grid(model, position):
    """Two-dimensional transforms see the grid of patches of the picture that is computed."""

    def note(module, args, kwargs):
        latent = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        position.grid_width = latent.shape[-1] // model.config.patch_size

    model.stamp_hook = model.register_forward_pre_hook(note, with_kwargs=True)


def apply(model, recipe, statistics=None):
    """Patches `model` in place and returns it.

    `recipe` is a preset's name, a recipe file or a dictionary. `statistics` are those that calibrated recipes need:
    Model.statistics of stamp_quant.load(DIR, recipe). Raises NotImplementedError for what has no counterpart here (see
    recipes.check_supported) and ValueError for a model that is patched already.
    """
    recipe = read_recipe(recipe)
    statistics = statistics or {}
    if getattr(model, "stamp_recipe", None) is not None:
        raise ValueError("stamp_quant.torch.apply: this model is patched already; remove() first")
    recipes.check_supported(recipe)
    recipes.check_statistics(recipe, statistics)
    position = linear.Position()
    _patch_groups(model, recipe, position, statistics)
    if sites.decoder_layers(model) is not None:
        _patch_attention(model, recipe, statistics)
        _patch_tables(model, recipe)
        _follow_position(model, position)
    else:
        _follow_grid(model, position)
    model.stamp_recipe = recipe
    return model


def remove(model):
    """Undoes apply(); nothing happens to a model that is not patched. Returns the model."""
    if getattr(model, "stamp_recipe", None) is None:
        return model
    for module in model.modules():
        linear.unpatch(module)
    if "stamp_attention" in model.__dict__:
        model.config._attn_implementation = model.stamp_attention
    if "stamp_hook" in model.__dict__:
        model.stamp_hook.remove()
    for name in ("stamp_attention", "stamp_hook", "stamp_recipe"):
        model.__dict__.pop(name, None)
    return model
