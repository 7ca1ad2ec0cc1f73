#!/usr/bin/env python3
"""Writes a small folder of reference cases for `stamp verify`: CLIP models with tiny random weights, run by `transformers` in
fp32, and scored by `torchmetrics`.

    python tools/make_clip_oracles.py OUT [--seed 7] [--vit-l-14]

OUT/clip/old_eos   quick GELU, an eos_token_id of 2 as configs of before 2023 have it, tokenizer.json
OUT/clip/new_eos   GELU, patches that do not fill the image, vocab.json and merges.txt, text_config_dict
OUT/clip/vit_l_14  with --vit-l-14 only: the sizes of openai/clip-vit-large-patch14 (1.7 GB)

Each holds the checkpoint, embeddings of texts and pixels, the states behind every layer, pictures with what the image processor
makes of them, ids of strings, and scores of pictures with prompts. Needs torch, transformers, tokenizers, torchmetrics,
safetensors, Pillow. tests/data/oracles holds its output.
"""
import argparse
import json
import warnings
from pathlib import Path

import torch
from make_image_oracles import randomize
from make_oracles import STRINGS, TRAINING
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torchmetrics.functional.multimodal import clip_image_quality_assessment
from torchmetrics.functional.multimodal.clip_score import _clip_score_update
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

warnings.filterwarnings("ignore")

PROMPTS = ["a red ball on the grass", "Un café, 2 tables; 量化 👍🏽", "a photo " * 60]  # the last one has more tokens than any model
MORE_STRINGS = [
    "a photo of a cat", "A PHOTO of the Cat's THE'S they'LL", "it's!!'s", "x</w>y", "Σας ΑΣ ὈΔΥΣΣΕΎΣ", "İstanbul ǅ ẞ", "١٢ 12 ½ ²",
    "<|startoftext|>twice<|endoftext|>", "<|STARTOFTEXT|>!!", "a\u2003b\u0085c\u180ed", "...,!?--", "日本語テキスト",
]  # fmt: skip


class Embedder(torch.nn.Module):
    """What torchmetrics expects of a model: features as tensors, whatever transformers wraps them in."""

    def __init__(self, model):
        super().__init__()
        self.model, self.config = model, model.config

    def get_image_features(self, *args):
        got = self.model.get_image_features(*args)
        return getattr(got, "pooler_output", got)

    def get_text_features(self, *args):
        got = self.model.get_text_features(*args)
        return getattr(got, "pooler_output", got)


def make_tokenizer(merges):
    """CLIP's: all bytes, all bytes at the end of a word, merges, the two markers."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=2 * len(alphabet) + merges, initial_alphabet=alphabet, end_of_word_suffix="</w>",
                                  show_progress=False)  # fmt: skip
    trained.train_from_iterator([TRAINING.lower().replace(" ", "\n")] + ["a photo of the good bad photo. cat ball"] * 4, trainer)
    pairs = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"] if "Ġ" not in "".join(pair)]
    tokens = alphabet + [byte + "</w>" for byte in alphabet] + ["".join(pair) for pair in pairs]
    tokens = list(dict.fromkeys(tokens)) + ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=pairs)


def make_model(tokenizer, text, vision, projection):
    config = CLIPConfig(text_config={"vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id, **text},
                        vision_config=vision, projection_dim=projection, attn_implementation="eager")  # fmt: skip
    model = CLIPModel(config).eval()
    return model


def spread(model, sign=1):
    """Random weights that matter, and texts whose embeddings are close enough for CLIP-IQA not to be 0 or 1."""
    randomize(model, 0.2)
    with torch.no_grad():
        model.text_model.final_layer_norm.bias.add_(6.0)
        model.text_projection.weight.mul_(sign)
        model.logit_scale.fill_(4.6)
    return model


def pictures(sizes):
    """Smooth and rough parts, each [3, height, width] of bytes."""
    result = []
    for height, width in sizes:
        smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 5), size=(height, width), mode="bicubic")[0]
        result.append(((smooth + 0.3 * torch.randn(3, height, width)).clamp(0, 1) * 255).round().to(torch.uint8))
    return result


@torch.no_grad()
def record(model, tokenizer, pixels, texts):
    states, handles = {}, []
    for name, module in model.named_modules():
        if name.rpartition(".")[0].endswith("encoder.layers"):
            hook = lambda _, __, got, name=name: states.__setitem__(name, got[0] if isinstance(got, tuple) else got)
            handles.append(module.register_forward_hook(hook))
    limit = model.config.text_config.max_position_embeddings
    ids = torch.tensor(tokenizer(texts, padding="max_length", truncation=True, max_length=limit).input_ids)
    embedder = Embedder(model)
    tensors = {"input_ids": ids, "text_embeds": embedder.get_text_features(ids), "pixel_values": pixels,
               "image_embeds": embedder.get_image_features(pixels)}  # fmt: skip
    for handle in handles:
        handle.remove()
    return tensors | states


@torch.no_grad()
def score(model, processor, images):
    embedder = Embedder(model).eval()
    scores, quality = [], []
    for image, prompt in zip(images, PROMPTS):
        scores.append(_clip_score_update(image, prompt, embedder, processor)[0])
        quality.append(clip_image_quality_assessment(image[None].float(), lambda: (embedder, processor)).reshape(1))
    return {"clip_score": torch.cat(scores), "clip_iqa": torch.cat(quality)}


def tokenizer_case(tokenizer, text):
    ids, plain = tokenizer(text).input_ids, tokenizer(text, add_special_tokens=False).input_ids
    return {"text": text, "ids": ids, "ids_plain": plain, "decoded": tokenizer.decode(plain),
            "decoded_skip": tokenizer.decode(ids, skip_special_tokens=True)}  # fmt: skip


def write_case(folder, model, tokenizer, side, strings, plain_files=False):
    image_processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    processor = CLIPProcessor(image_processor, tokenizer)
    checkpoint = folder / "ckpt"
    model.save_pretrained(checkpoint)
    image_processor.save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
    file = checkpoint / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()), ensure_ascii=False) + "\n")
    if plain_files:
        content = json.loads(file.read_text())["model"]
        file.unlink()
        (checkpoint / "vocab.json").write_text(json.dumps(content["vocab"], ensure_ascii=False))
        merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in content["merges"]]
        (checkpoint / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    images = pictures([(side + 23, 2 * side + 5), (3 * side // 2, side - 7), (side, side)])
    prepared = [processor(images=[image], return_tensors="pt")["pixel_values"] for image in images]
    tensors = record(model, tokenizer, torch.cat(prepared), ["a photo of a cat", "Good photo.", "", "a red ball " * 70])
    for i, image in enumerate(images):
        tensors[f"picture_{i}"] = image.permute(1, 2, 0)
        tensors[f"prepared_{i}"] = prepared[i]
    tensors |= score(model, processor, images)
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, folder / "oracle.safetensors")
    (folder / "run.json").write_text(json.dumps({"prompts": PROMPTS}) + "\n")
    cases = [tokenizer_case(tokenizer, text) for text in strings]
    (folder / "cases.json").write_text(json.dumps({"kind": "clip", "cases": cases}) + "\n")


def write_old_eos(out):
    tokenizer = make_tokenizer(60)
    model = spread(make_model(
        tokenizer, dict(hidden_size=20, intermediate_size=28, num_hidden_layers=2, num_attention_heads=2, eos_token_id=2,
                        max_position_embeddings=40),
        dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, image_size=28, patch_size=7), 12), -1)
    write_case(out / "clip/old_eos", model, tokenizer, 28, STRINGS + MORE_STRINGS)


def write_new_eos(out):
    tokenizer = make_tokenizer(90)
    text = dict(hidden_size=24, intermediate_size=36, num_hidden_layers=1, num_attention_heads=3, hidden_act="gelu",
                eos_token_id=tokenizer.eos_token_id, max_position_embeddings=25, layer_norm_eps=1e-3)
    model = spread(make_model(
        tokenizer, text, dict(hidden_size=16, intermediate_size=20, num_hidden_layers=1, num_attention_heads=4,
                              hidden_act="gelu", image_size=30, patch_size=14), 10))
    write_case(out / "clip/new_eos", model, tokenizer, 30, STRINGS + MORE_STRINGS, plain_files=True)
    file = out / "clip/new_eos/ckpt/config.json"  # as old files have it: what is in text_config does not count
    config = json.loads(file.read_text())
    config["text_config_dict"] = config["text_config"]
    config["text_config"] = {"hidden_size": 999}
    file.write_text(json.dumps(config, indent=1) + "\n")


def write_vit_l_14(out):
    tokenizer = make_tokenizer(200)
    model = randomize(make_model(
        tokenizer, dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, eos_token_id=2),
        dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, patch_size=14), 768), 0.1)
    write_case(out / "clip/vit_l_14", model, tokenizer, 224, STRINGS + MORE_STRINGS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--vit-l-14", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for write in (write_vit_l_14,) if arguments.vit_l_14 else (write_old_eos, write_new_eos):
        torch.manual_seed(arguments.seed)
        write(arguments.out)


if __name__ == "__main__":
    main()
