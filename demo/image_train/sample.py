"""Draw a sheet of pictures with diffusers, one row of seeds per prompt.

  python sample.py ../image --prompts ../image/prompts.txt --seeds 2 --out sheet.png
"""
import argparse
import pathlib

import torch
from diffusers import PixArtSigmaPipeline
from PIL import Image

from pictures import SIDE


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pipeline")
    parser.add_argument("--prompts", type=pathlib.Path, required=True)
    parser.add_argument("--first", type=int, help="only so many prompts")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--columns", type=int, default=8, help="of prompts")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    pipe = PixArtSigmaPipeline.from_pretrained(args.pipeline, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    prompts = args.prompts.read_text().splitlines()[:args.first]
    rows = -(-len(prompts) // args.columns)
    sheet = Image.new("RGB", (args.columns * SIDE, rows * args.seeds * SIDE))
    for start in range(0, len(prompts), args.columns):
        for seed in range(args.seeds):
            group = prompts[start:start + args.columns]
            generators = [torch.Generator().manual_seed(seed) for _ in group]
            images = pipe(group, num_inference_steps=args.steps, guidance_scale=args.guidance,
                          height=SIDE, width=SIDE, use_resolution_binning=False,
                          clean_caption=False, max_sequence_length=32, generator=generators).images
            for i, image in enumerate(images):
                sheet.paste(image, (i * SIDE, (start // args.columns * args.seeds + seed) * SIDE))
    sheet.save(args.out)


if __name__ == "__main__":
    main()
