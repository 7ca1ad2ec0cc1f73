"""Where models quantize: groups of linears that share an input, by layer."""

from dataclasses import dataclass


@dataclass
class Group:
    """`names` are those of the linears in recipes' exclusions, `site` that of their input."""

    layer: int
    site: str
    names: list
    linears: list
    head_dim: int = 0


def _decoder_groups(layers):
    for i, layer in enumerate(layers):
        attention, mlp = layer.self_attn, layer.mlp
        for site, owner, part, names, head_dim in (
            ("attn_in", attention, "self_attn", ("q_proj", "k_proj", "v_proj"), 0),
            ("o_in", attention, "self_attn", ("o_proj",), attention.head_dim),
            ("mlp_in", mlp, "mlp", ("gate_proj", "up_proj"), 0),
            ("down_in", mlp, "mlp", ("down_proj",), 0),
        ):
            yield Group(i, f"layers.{i}.{site}", [f"layers.{i}.{part}.{name}" for name in names],
                        [getattr(owner, name) for name in names], head_dim)


def _head_dim(attention):
    return attention.to_q.out_features // attention.heads


def _transformer_groups(blocks):
    for i, block in enumerate(blocks):
        convolutions = hasattr(block.ff, "conv_inverted")
        up, down = ("conv_inverted", "conv_point") if convolutions else ("net.0.proj", "net.2")
        for site, names, head_dim in (
            ("attn1_in", ("attn1.to_q", "attn1.to_k", "attn1.to_v"), 0),
            ("attn1_out_in", ("attn1.to_out.0",), _head_dim(block.attn1)),
            ("attn2_in", ("attn2.to_q",), 0),
            ("attn2_out_in", ("attn2.to_out.0",), _head_dim(block.attn2)),
            ("ff_in", (f"ff.{up}",), 0),
            ("ff_down_in", (f"ff.{down}",), 0),
        ):
            yield Group(i, f"blocks.{i}.{site}", [f"blocks.{i}.{name}" for name in names],
                        [block.get_submodule(name) for name in names], head_dim)


def decoder_layers(model):
    """The layers of a causal language model made as Llama's are; None for other models."""
    layers = getattr(getattr(model, "model", None), "layers", None)
    parts = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
             "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    return layers if layers and all(_has(layers[0], part) for part in parts) else None


def _has(module, path):
    for name in path.split("."):
        module = getattr(module, name, None)
    return module is not None


def groups_of(model):
    """All groups of a model; NotImplementedError for a structure that is not known."""
    layers = decoder_layers(model)
    if layers is not None:
        return list(_decoder_groups(layers))
    blocks = getattr(model, "transformer_blocks", None)
    if blocks and all(_has(blocks[0], part) for part in ("attn1.to_q", "attn2.to_q", "ff")):
        return list(_transformer_groups(blocks))
    raise NotImplementedError(
        f"stamp: {type(model).__name__} is not known; supported are language models made as Llama and Qwen2 "
        "(model.layers with self_attn.q_proj ... mlp.down_proj) and PixArt and SANA transformers of diffusers"
    )
