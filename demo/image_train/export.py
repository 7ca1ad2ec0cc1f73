"""Write the newest checkpoint as a bf16 pipeline folder in diffusers' layout.

  python export.py --data run --model run/model/state.pt --out ../image
"""
import argparse
import json
import pathlib
import shutil
import string

import torch
from diffusers import (AutoencoderKL, DPMSolverMultistepScheduler, PixArtSigmaPipeline,
                       PixArtTransformer2DModel)
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from dimensions import SCHEDULER, TEXT_ENCODER, TRANSFORMER, VOCABULARY
from pictures import emoji
from train import BATCH, IMAGE, TEXT, part

FOLDER = pathlib.Path(__file__).resolve().parent


def filled(module, tensors):
    """The module with these weights, in bf16."""
    missing, unexpected = module.load_state_dict(tensors, strict=False)
    tied = {"encoder.embed_tokens.weight"}
    if set(missing) - tied or unexpected:
        raise ValueError(f"tensors do not fit: {missing} missing, {unexpected} unexpected")
    return module.to(torch.bfloat16).eval()


def pipeline(data, average):
    return PixArtSigmaPipeline(
        tokenizer=T5Tokenizer.from_pretrained(f"{data}/tokenizer"),
        text_encoder=filled(T5EncoderModel(T5Config(**TEXT_ENCODER)), part(average, TEXT)),
        vae=AutoencoderKL.from_pretrained(f"{data}/vae_final").to(torch.bfloat16),
        transformer=filled(PixArtTransformer2DModel(**TRANSFORMER), part(average, IMAGE)),
        scheduler=DPMSolverMultistepScheduler(**SCHEDULER))


def card(pipe, state):
    """The model card with this checkpoint's numbers."""
    parts = {name: sum(p.numel() for p in getattr(pipe, name).parameters()) / 1e6
             for name in ("transformer", "text_encoder", "vae")}
    numbers = {name: f"{count:.2f}" for name, count in parts.items()}
    numbers |= {"total": f"{sum(parts.values()):.1f}", "steps": state["step"], "batch": BATCH,
                "shown": f"{state['step'] * BATCH / 1e6:.2f}", "loss": f"{state['loss']:.3f}",
                "names": len(emoji()), "vocabulary": VOCABULARY}
    return string.Template((FOLDER / "card.md").read_text()).substitute(numbers)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    state = torch.load(args.model, map_location="cpu")
    pipe = pipeline(args.data, state["average"])
    pipe.save_pretrained(args.out)
    shutil.copy(f"{args.data}/tokenizer/spiece.model", args.out / "tokenizer")
    for path in args.out.glob("*/*config.json"):  # drop what depends on the machine
        config = json.loads(path.read_text())
        for key in ("_name_or_path", "is_local", "local_files_only"):
            config.pop(key, None)
        path.write_text(json.dumps(config, indent=2) + "\n")
    (args.out / "README.md").write_text(card(pipe, state))


if __name__ == "__main__":
    main()
