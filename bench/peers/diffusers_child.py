#!/usr/bin/env python3
"""Times one denoising step of diffusers' transformers in bf16: random weights, one image, no guidance."""
import diffusers
import torch
from child import arguments, finish, time_passes

TEXT_TOKENS = 300
PIXART = dict(num_attention_heads=16, attention_head_dim=72, in_channels=4, out_channels=8, num_layers=28, patch_size=2,
              cross_attention_dim=1152, caption_channels=4096, norm_type="ada_norm_single", interpolation_scale=2,
              use_additional_conditions=False)  # fmt: skip
SHAPES = {
    "pixart-sigma-1024": (diffusers.PixArtTransformer2DModel, {**PIXART, "sample_size": 128}),
    "pixart-sigma-512": (diffusers.PixArtTransformer2DModel, {**PIXART, "sample_size": 64}),
    "sana-1.6b-1024": (
        diffusers.SanaTransformer2DModel,
        dict(num_attention_heads=70, attention_head_dim=32, in_channels=32, out_channels=32, num_layers=20, sample_size=32,
             patch_size=1, num_cross_attention_heads=20, cross_attention_head_dim=112, cross_attention_dim=2240,
             caption_channels=2304, mlp_ratio=2.5),
    ),
}  # fmt: skip


def make_step(shape):
    kind, config = SHAPES[shape]
    torch.set_default_dtype(torch.bfloat16)
    model = kind(**config).to(torch.bfloat16).eval()
    latents = torch.randn(1, config["in_channels"], config["sample_size"], config["sample_size"])
    text = torch.randn(1, TEXT_TOKENS, config["caption_channels"])
    extra = {}
    if kind is diffusers.PixArtTransformer2DModel:
        extra["added_cond_kwargs"] = {"resolution": None, "aspect_ratio": None}
    return lambda: model(latents, encoder_hidden_states=text, timestep=torch.tensor([500]), return_dict=False, **extra)


def main():
    options = arguments(__doc__)
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        seconds = time_passes(make_step(options.model), options.runs)
    finish(seconds, version=f"diffusers {diffusers.__version__}, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
