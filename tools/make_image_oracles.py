#!/usr/bin/env python3
"""Writes a small folder of reference cases for `stamp verify`: text encoders, diffusion transformers, autoencoders,
schedulers and a whole pipeline, all with tiny random weights, run by `transformers` and `diffusers` in fp32.

    python tools/make_image_oracles.py OUT [--seed 7]

OUT/enc/*    T5 and Gemma 2 with padding, sharp soft-caps, short windows, Gemma with and without the prefix "model."
OUT/diff/*   PixArt with patches of one pixel, SANA with patches of two and with qk norm and biases, AutoencoderKL without
             middle attention, AutoencoderDC with and without further scales
OUT/sched/*  schedulers with few steps
OUT/pipe/*   a PixArt-Sigma pipeline from text to pixels

Needs torch, transformers, diffusers, tokenizers, safetensors. tests/data/oracles holds its output.
"""
import argparse
import json
import warnings
from pathlib import Path

import torch
from diffusers import (AutoencoderDC, AutoencoderKL, DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler,
                       PixArtSigmaPipeline, PixArtTransformer2DModel, SanaTransformer2DModel)
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma2Model, PreTrainedTokenizerFast, T5Config, T5EncoderModel

warnings.filterwarnings("ignore")


def randomize(model, scale=0.3):
    """Weights that make every part count; norms stay near one."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn_like(value)
            if "norm" in name and value.dim() == 1:
                value.copy_((1 if name.endswith("weight") else 0) + 0.2 * noise)
            elif value.dim() >= 2:
                value.copy_(noise * scale * 3 / max(1, value[0].numel()) ** 0.5)
            else:
                value.copy_(0.2 * noise)
    return model.eval()


def save_case(folder, model, tensors, inner="ckpt"):
    folder.mkdir(parents=True, exist_ok=True)
    if model is not None:
        model.save_pretrained(folder / inner)
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, folder / "oracle.safetensors")


def ids_and_mask(vocabulary, lengths):
    width = max(lengths)
    ids = torch.randint(3, vocabulary, (len(lengths), width))
    mask = torch.zeros(len(lengths), width, dtype=torch.int64)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
        ids[row, length:] = 0
    return ids, mask


def write_encoders(out):
    t5 = randomize(T5EncoderModel(T5Config(
        vocab_size=90, d_model=20, d_kv=6, d_ff=28, num_layers=2, num_heads=3, relative_attention_num_buckets=16,
        relative_attention_max_distance=20, feed_forward_proj="gated-gelu")), 0.2)
    ids, mask = ids_and_mask(90, [60, 13])
    with torch.no_grad():
        got = t5(ids, mask)
    save_case(out / "enc/t5_16_buckets", t5,
              {"input_ids": ids, "attention_mask": mask, "last_hidden_state": got.last_hidden_state})
    for name, kind in (("gemma2_plain", Gemma2Model), ("gemma2_prefixed", Gemma2ForCausalLM)):
        gemma = randomize(kind(Gemma2Config(
            vocab_size=70, hidden_size=24, intermediate_size=36, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=1, head_dim=10, query_pre_attn_scalar=7, attn_logit_softcapping=2.0, sliding_window=4,
            max_position_embeddings=64, attn_implementation="eager")), 0.2)
        ids, mask = ids_and_mask(70, [21, 9])
        with torch.no_grad():
            got = getattr(gemma, "model", gemma)(input_ids=ids, attention_mask=mask)
        save_case(out / "enc" / name, gemma,
                  {"input_ids": ids, "attention_mask": mask, "last_hidden_state": got.last_hidden_state})


def write_transformer(folder, model, channels, height, width, caption, extra=None):
    model = randomize(model)
    sample, times = torch.randn(2, channels, height, width), torch.tensor([999, 3])
    text, mask = torch.randn(2, 7, caption), torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    with torch.no_grad():
        got = model(sample, encoder_hidden_states=text, timestep=times, encoder_attention_mask=mask, **(extra or {})).sample
    save_case(folder, model, {"sample": sample, "timestep": times, "encoder_hidden_states": text,
                              "encoder_attention_mask": mask, "noise_pred": got})


def write_models(out):
    pixart = dict(num_attention_heads=2, num_layers=1, in_channels=4, out_channels=8, caption_channels=10,
                  norm_type="ada_norm_single")
    write_transformer(out / "diff/pixart_patch1", PixArtTransformer2DModel(
        **pixart, attention_head_dim=10, cross_attention_dim=20, sample_size=12, patch_size=1, interpolation_scale=0.5,
        use_additional_conditions=False), 4, 5, 7, 10)
    sana = dict(in_channels=4, out_channels=4, num_attention_heads=3, attention_head_dim=4, num_layers=1,
                num_cross_attention_heads=2, cross_attention_head_dim=6, cross_attention_dim=12, caption_channels=10,
                sample_size=8)
    write_transformer(out / "diff/sana_patch2", SanaTransformer2DModel(**sana, patch_size=2, mlp_ratio=1.7), 4, 6, 10, 10)
    write_transformer(out / "diff/sana_qk_norm", SanaTransformer2DModel(
        **sana, patch_size=1, qk_norm="rms_norm_across_heads", timestep_scale=0.5, attention_bias=True), 4, 3, 5, 10)

    torch.manual_seed(5)
    kl = randomize(AutoencoderKL(block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2, latent_channels=3,
                                 down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
                                 mid_block_add_attention=False, use_quant_conv=False, use_post_quant_conv=False))
    dc = [randomize(AutoencoderDC(
        latent_channels=4, attention_head_dim=4, encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"), encoder_block_out_channels=(4, 8),
        decoder_block_out_channels=(4, 8), encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1),
        encoder_qkv_multiscales=((), scales), decoder_qkv_multiscales=((), scales), upsample_block_type=up,
        downsample_block_type=down)) for scales, up, down in (((3, 5), "interpolate", "conv"),
                                                              ((), "pixel_shuffle", "pixel_unshuffle"))]
    for name, model, channels in (("vae_without_attention", kl, 3), ("dcae_two_scales", dc[0], 4), ("dcae_no_scale", dc[1], 4)):
        latent, image = torch.randn(1, channels, 4, 3), torch.randn(1, 3, 6, 10)
        with torch.no_grad():
            tensors = {"latent": latent, "image": image, "decoded": model.decode(latent).sample}
            if model is kl:
                tensors["enc_mean"], tensors["enc_logvar"] = model.encoder(image).chunk(2, 1)
            else:
                tensors["encoded"] = model.encode(image).latent
        save_case(out / "diff" / name, model, tensors)


def write_schedulers(out):
    cases = {"dpm_v_trailing": DPMSolverMultistepScheduler(prediction_type="v_prediction", timestep_spacing="trailing"),
             "dpm_clipped": DPMSolverMultistepScheduler(lambda_min_clipped=-4.0, final_sigmas_type="sigma_min"),
             "dpm_flow": DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=6.0),
             "euler": FlowMatchEulerDiscreteScheduler(shift=2.5)}
    for name, scheduler in cases.items():
        scheduler.set_timesteps(7)
        sample = start = torch.randn(1, 2, 3, 3)
        outputs, samples = torch.randn(7, 1, 2, 3, 3), []
        for i, time in enumerate(scheduler.timesteps):
            sample = scheduler.step(outputs[i], time, sample).prev_sample
            samples.append(sample)
        save_case(out / "sched" / name, scheduler, {
            "sample_0": start, "model_outputs": outputs, "samples": torch.stack(samples),
            "timesteps": scheduler.timesteps, "sigmas": scheduler.sigmas})
        (out / "sched" / name / "run.json").write_text(json.dumps({"num_inference_steps": 7}))


def word_tokenizer():
    """A Unigram tokenizer of single letters and a few words, as T5's but without a character map."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    pieces += [(c, -3.0 - i / 26) for i, c in enumerate("abcdefghijklmnopqrstuvwxyz")]
    pieces += [("\u2581red", -4.0), ("\u2581a", -2.5), ("ball", -5.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in ("<pad>", "</s>", "<unk>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def write_pipeline(out):
    torch.manual_seed(11)
    encoder = randomize(T5EncoderModel(T5Config(vocab_size=40, d_model=16, d_kv=4, d_ff=20, num_layers=1, num_heads=2,
                                                feed_forward_proj="gated-gelu")), 0.2)
    transformer = randomize(PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, num_layers=1, in_channels=4, out_channels=8, caption_channels=16,
        cross_attention_dim=16, sample_size=8, patch_size=2, norm_type="ada_norm_single", use_additional_conditions=False))
    vae = randomize(AutoencoderKL(block_out_channels=(4, 4), layers_per_block=1, norm_num_groups=2, latent_channels=4,
                                  down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
                                  scaling_factor=0.7))
    pipe = PixArtSigmaPipeline(word_tokenizer(), encoder, vae, transformer, DPMSolverMultistepScheduler())
    pipe.set_progress_bar_config(disable=True)
    pipe.vae_scale_factor = 2
    pipe.image_processor.config.vae_scale_factor = 2
    run = {"num_inference_steps": 3, "guidance_scale": 3.0, "prompt": " A red Ball", "negative_prompt": "grey",
           "max_sequence_length": 9}
    seen = {"latents": torch.randn(1, 4, 12, 8), "predictions": [], "states": []}
    step, decode = pipe.scheduler.step, vae.decode

    def recorded_step(output, *args, **kwargs):
        result = step(output, *args, **kwargs)
        seen["predictions"].append(output)
        seen["states"].append(result[0])
        return result

    def recorded_decode(*args, **kwargs):
        result = decode(*args, **kwargs)
        seen["decoded"] = result[0]
        return result

    def draw(guidance):
        seen["predictions"], seen["states"] = [], []
        pipe.scheduler.step = recorded_step
        return pipe(prompt=run["prompt"], negative_prompt=run["negative_prompt"], num_inference_steps=3,
                    guidance_scale=guidance, height=24, width=16, latents=seen["latents"].clone(), output_type="np",
                    clean_caption=False, use_resolution_binning=False, max_sequence_length=9).images[0]

    with torch.no_grad():
        vae.decode = recorded_decode
        image = draw(3.0)
        predictions, states, decoded = torch.stack(seen["predictions"]), torch.stack(seen["states"]), seen["decoded"]
        draw(1.0)
        unguided = seen["states"][-1]
        embeds, mask, negative, negative_mask = pipe.encode_prompt(
            run["prompt"], negative_prompt=run["negative_prompt"], clean_caption=False, max_sequence_length=9)
    del vae.decode, pipe.scheduler.step
    ids = [pipe.tokenizer(run[key].lower().strip(), padding="max_length", max_length=9, truncation=True).input_ids
           for key in ("prompt", "negative_prompt")]
    picture = torch.from_numpy(image)
    chw = picture.permute(2, 0, 1)[None]
    save_case(out / "pipe/pixart_words", None, {
        "latents": seen["latents"], "prompt_embeds": embeds, "prompt_attention_mask": mask, "negative_prompt_embeds": negative,
        "negative_prompt_attention_mask": negative_mask, "guided_pred_per_step": predictions, "latents_per_step": states,
        "latents_out": states[-1], "nocfg_latents_out": unguided, "vae_decoded": decoded, "image": chw,
        "image_u8": (picture * 255).round().to(torch.uint8)[None], "timesteps": pipe.scheduler.timesteps,
        "sigmas": pipe.scheduler.sigmas, "text_prompt_ids": torch.tensor([ids[0]]), "text_prompt_mask": mask,
        "text_prompt_embeds": embeds, "text_negative_ids": torch.tensor([ids[1]]), "text_negative_mask": negative_mask,
        "text_negative_embeds": negative, "text_latents_out": states[-1], "text_image": chw})
    pipe.save_pretrained(out / "pipe/pixart_words/ckpt")
    (out / "pipe/pixart_words/run.json").write_text(json.dumps(run))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    for write in (write_encoders, write_models, write_schedulers, write_pipeline):
        write(arguments.out)


if __name__ == "__main__":
    main()
