"""Encode every training picture once, and fold the latents' mean and deviation into the VAE.

  python latents.py run/vae/state.pt run

Writes run/vae_final (a diffusers folder whose latents have mean 0 and deviation 1 per channel),
run/latents.npy (fp16, [pictures, 4, 32, 32]) and run/variants.json ([name, background, small]).
"""
import json
import sys

import numpy as np
import torch
from diffusers import AutoencoderKL

import pictures
from vae import CONFIG, to_tensor

BATCH = 16


def variants():
    """Every name in both sizes on white, large on every background, small on half of them."""
    result = []
    for name in pictures.emoji():
        for i, background in enumerate(pictures.BACKGROUNDS):
            if pictures.is_heldout(name, background):
                continue
            result.append((name, background, False))
            if background == "white" or (len(name) + i) % 2:
                result.append((name, background, True))
    return result


@torch.no_grad()
def encode(vae, chosen):
    for start in range(0, len(chosen), BATCH):
        drawn = [pictures.draw(name, pictures.BACKGROUNDS[background],
                               pictures.SMALL if small else pictures.LARGE)
                 for name, background, small in chosen[start:start + BATCH]]
        yield vae.encode(to_tensor(drawn)).latent_dist.mode()


def fold_statistics(vae, mean, deviation):
    """Latents become (latent - mean) / deviation."""
    quant, post = vae.quant_conv, vae.post_quant_conv
    post.bias.data += (post.weight.data * mean[:, None, None]).sum((1, 2, 3))
    post.weight.data *= deviation[:, None, None]
    quant.weight.data[:4] /= deviation[:, None, None, None]
    quant.bias.data[:4] = (quant.bias.data[:4] - mean) / deviation
    quant.bias.data[4:] -= 2 * deviation.log()
    vae.register_to_config(scaling_factor=1.0)


def main():
    state, out = sys.argv[1:]
    vae = AutoencoderKL(**CONFIG)
    vae.load_state_dict(torch.load(state)["model"])
    vae.to(memory_format=torch.channels_last)
    chosen = variants()
    sample = [chosen[i] for i in np.random.default_rng(0).permutation(len(chosen))[:512]]
    first = torch.cat(list(encode(vae, sample)))
    fold_statistics(vae, first.mean((0, 2, 3)), first.std((0, 2, 3)))
    values = np.concatenate([x.half().numpy() for x in encode(vae, chosen)])
    np.save(f"{out}/latents.npy", values)
    json.dump(chosen, open(f"{out}/variants.json", "w"))
    vae.save_pretrained(f"{out}/vae_final")
    print(f"{len(chosen)} pictures, mean {values.mean((0, 2, 3), dtype=float)}, "
          f"deviation {values.std((0, 2, 3), dtype=float)}")


if __name__ == "__main__":
    main()
