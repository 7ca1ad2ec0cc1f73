"""Train the picture autoencoder (AutoencoderKL, factor 4); resumes from --out by the same command.

  python vae.py --out run/vae --steps 6000 [--minutes 4]
"""
import argparse
import os
import pathlib
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "train"))

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from optimizer import POLYNOMIALS
from PIL import Image

import pictures

CONFIG = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "sample_size": pictures.SIDE,
    "down_block_types": ["DownEncoderBlock2D"] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3,
    "block_out_channels": [16, 32, 64], "layers_per_block": 2, "norm_num_groups": 2,
    "act_fn": "silu", "force_upcast": False}
BATCH, SAVE_SECONDS = 8, 120
MUON_RATE, ADAM_RATE, WARMUP = 0.02, 2e-3, 100
CROP, CROPS_UNTIL = 64, 0.7  # squares cut out of the pictures, for so much of the schedule
EDGE_WEIGHT, KL_WEIGHT = 2.0, 1e-5


class Muon(torch.optim.Optimizer):
    """For weights as matrices, one row per output channel; those of equal shape in one batch."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": MUON_RATE})

    @staticmethod
    def orthogonal(g):
        x = g.mT if g.shape[1] > g.shape[2] else g.clone()
        x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-12)
        for a, b, c in POLYNOMIALS:
            s = x @ x.mT
            x = a * x + (b * s + c * s @ s) @ x
        return x.mT if g.shape[1] > g.shape[2] else x

    @torch.no_grad()
    def step(self):
        groups = {}
        for p in self.param_groups[0]["params"]:
            first = self.state[p].setdefault("first", torch.zeros_like(p))
            first.lerp_(p.grad, 0.1)
            groups.setdefault(tuple(p.shape), []).append((p, p.grad.lerp(first, 0.9)))
        for shape, pairs in groups.items():
            matrices = torch.stack([g.reshape(shape[0], -1) for _, g in pairs])
            scale = max(1.0, matrices.shape[1] / matrices.shape[2]) ** 0.5
            for (p, _), direction in zip(pairs, self.orthogonal(matrices)):
                p.sub_(direction.view(shape), alpha=scale * self.param_groups[0]["lr"])


def new_optimizers(vae):
    matrices, vectors = ([p for p in vae.parameters() if (p.dim() > 1) == wanted]
                         for wanted in (True, False))
    return Muon(matrices), torch.optim.Adam(vectors, lr=ADAM_RATE, betas=(0.9, 0.98))


def random_picture(generator, names):
    """A picture at any size, place and colour; half of them with a background of the prompts."""
    colours = list(pictures.BACKGROUNDS.values())
    colour = colours[generator.integers(len(colours))]
    if generator.random() < 0.5:
        colour = generator.integers(0, 256, 3).tolist()
    height = int(generator.integers(56, 121))
    shift = generator.integers(-10, 11, 2).tolist()
    drawn = pictures.draw(names[generator.integers(len(names))], colour, height, shift)
    return drawn[:, ::-1] if generator.random() < 0.5 else drawn


def to_tensor(drawn):
    """uint8 [n, h, w, 3] -> [-1, 1] [n, 3, h, w]"""
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 127.5 - 1


def batch(generator, names, cropped):
    """Whole pictures, or four times as many crops."""
    drawn = [random_picture(generator, names) for _ in range(BATCH if cropped else BATCH // 4)]
    if cropped:
        corners = generator.integers(0, pictures.SIDE - CROP + 1, (BATCH, 2))
        drawn = [x[i:i + CROP, j:j + CROP] for x, (i, j) in zip(drawn, corners)]
    return to_tensor(drawn).contiguous(memory_format=torch.channels_last)


def edges(x):
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def losses(vae, x):
    posterior = vae.encode(x).latent_dist
    y = vae.decode(posterior.sample()).sample
    edge = sum(F.l1_loss(a, b) for a, b in zip(edges(y), edges(x)))
    pixel = F.l1_loss(y, x) + F.mse_loss(y, x)
    return pixel, edge, posterior.kl().mean() / posterior.mean[0].numel()


def write_sheet(vae, path):
    """Pictures above their reconstructions."""
    generator, names = np.random.default_rng(1), list(pictures.emoji())
    drawn = [random_picture(generator, names) for _ in range(10)]
    with torch.no_grad():
        y = vae.decode(vae.encode(to_tensor(drawn)).latent_dist.mode()).sample
    y = ((y.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in (drawn, list(y))])).save(path)
    return float((np.stack(drawn).astype(float) - y).__pow__(2).mean())


def save(path, vae, optimizers, step):
    states = [optimizer.state_dict() for optimizer in optimizers]
    torch.save({"model": vae.state_dict(), "optimizers": states, "step": step}, path + ".part")
    os.replace(path + ".part", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, required=True, help="of the whole schedule")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop (resumably) after these")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    vae = AutoencoderKL(**CONFIG).to(memory_format=torch.channels_last)
    optimizers = new_optimizers(vae)
    path, step, average = f"{args.out}/state.pt", 0, None
    if os.path.exists(path):
        saved = torch.load(path)
        vae.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        step = saved["step"]
    generator, names = np.random.default_rng(step), list(pictures.emoji())
    start = logged = saved_at = time.time()
    while step < args.steps and time.time() - start < args.minutes * 60:
        rate = min(1, (step + 1) / WARMUP, 0.01 + 1.5 * (1 - step / args.steps))
        for optimizer, highest in zip(optimizers, (MUON_RATE, ADAM_RATE)):
            optimizer.param_groups[0]["lr"] = rate * highest
        x = batch(generator, names, step < args.steps * CROPS_UNTIL)
        pixel, edge, kl = losses(vae, x)
        (pixel + EDGE_WEIGHT * edge + KL_WEIGHT * kl).backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        values = np.array([pixel.item(), edge.item(), kl.item()])
        average = values if average is None else 0.95 * average + 0.05 * values
        if step % 25 == 0:
            speed, logged = 25 / (time.time() - logged), time.time()
            print(f"step {step} pixel {average[0]:.4f} edge {average[1]:.4f} kl {average[2]:.2f} "
                  f"{speed:.2f} steps/s {time.process_time():.0f} s of CPU", flush=True)
        if time.time() - saved_at > SAVE_SECONDS:
            save(path, vae, optimizers, step)
            saved_at = time.time()
    save(path, vae, optimizers, step)
    print(f"step {step}: mean squared error {write_sheet(vae, f'{args.out}/sheet.png'):.1f}")


if __name__ == "__main__":
    main()
