#!/usr/bin/env python3
"""Writes tests/fuzz/seeds/: small inputs that every fuzz target accepts, so that fuzzing begins behind the first checks.

No arguments; run it from anywhere. Further chat templates are in tests/data/chat.
"""
import json
import struct
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "tests/fuzz/seeds"


def write(target, name, content):
    path = SEEDS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def json_seeds():
    write("json", "values.json", {"a": [1, -2, 3.5, 1e300, True, None], "b": {"c": "\u00e9\n\"", "": {}}})
    write("json", "bare_words.json", b'{"a": Infinity, "b": [-Infinity, NaN], "c": "NaN"}')
    write("json", "depth.json", b"[" * 60 + b"]" * 60)


def safetensors(tensors, metadata=None):
    """tensors: name -> (dtype, shape, bytes)"""
    header, contents = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(contents), len(contents) + len(content)]}
        contents += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + contents


def safetensors_seeds():
    zeros = lambda dtype, shape, size: (dtype, shape, bytes(size))
    write("safetensors", "two.safetensors",
          safetensors({"w": zeros("F32", [2, 3], 24), "b": zeros("BF16", [3], 6)}, {"format": "pt"}))
    write("safetensors", "odd.safetensors",
          safetensors({"scalar": zeros("I64", [], 8), "empty": zeros("U8", [0, 7], 0), "q": zeros("I8", [3], 3)}))
    write("safetensors", "none.safetensors", safetensors({}))


def packed_linears_seeds():
    def linear(name, config, parts):
        tensors = {f"l.{part}": content for part, content in parts.items()}
        write("packed_linears", name, safetensors(tensors, {"config": json.dumps(config)}))

    words = lambda *shape: ("I32", list(shape), bytes(range(4)) * (shape[0] * shape[1]))
    f16 = lambda *shape: ("F16", list(shape), struct.pack("<e", 0.5) * (shape[0] * shape[1]))
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 16, "checkpoint_format": "gptq"}
    linear("gptq.safetensors", gptq, {"qweight": words(4, 8), "qzeros": words(2, 1), "scales": f16(2, 8)})
    order = {"qweight": words(2, 4), "qzeros": words(1, 1), "scales": f16(1, 4), "g_idx": ("I32", [8], bytes(32))}
    linear("gptq_8_bits.safetensors", {**gptq, "bits": 8, "checkpoint_format": "gptq_v2"}, order)
    linear("awq.safetensors", {"quant_method": "awq", "bits": 4, "group_size": 4, "version": "gemm"},
           {"qweight": words(8, 1), "qzeros": words(2, 1), "scales": f16(2, 8)})
    scheme = {"weights": {"num_bits": 4, "type": "int", "group_size": 32}}
    linear("compressed.safetensors",
           {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"g": scheme}},
           {"weight_packed": words(2, 4), "weight_scale": f16(2, 1), "weight_zero_point": words(1, 1),
            "weight_shape": ("I64", [2], struct.pack("<2q", 2, 32))})


def floats(*shape):
    count = 1
    for size in shape:
        count *= size
    return "F32", list(shape), struct.pack("<f", 0.5) * count


def calibration_seeds():
    write("calibration", "site.safetensors",
          safetensors({"layers.0.k.range2": floats(3), "layers.0.k.mean": floats(2), "o_in.scale": floats(2),
                       "o_in.left": floats(2, 2), "o_in.right": floats(1, 1), "o_in.clip": floats(2),
                       "v.covariance": floats(4), "v.skip_tokens": ("I32", [1], struct.pack("<i", 2))}))


def text_encoder_seeds():
    def encoder(name, config, shapes):
        config = json.dumps(config, separators=(",", ":")).encode()
        write("text_encoder", name, config + b"\0" + safetensors({key: floats(*shape) for key, shape in shapes.items()}))

    block, attention, dense = "encoder.block.0.layer.", "0.SelfAttention.", "1.DenseReluDense."
    encoder("t5", {"architectures": ["T5EncoderModel"], "vocab_size": 2, "d_model": 2, "num_heads": 1, "d_kv": 2, "d_ff": 2,
                   "num_layers": 1, "relative_attention_num_buckets": 4, "relative_attention_max_distance": 8,
                   "feed_forward_proj": "gated-gelu"},
            {"shared.weight": (2, 2), "encoder.final_layer_norm.weight": (2,),
             block + attention + "relative_attention_bias.weight": (4, 1),
             **{f"{block}{attention}{part}.weight": (2, 2) for part in "qkvo"},
             **{f"{block}{dense}{part}.weight": (2, 2) for part in ("wi_0", "wi_1", "wo")},
             block + "0.layer_norm.weight": (2,), block + "1.layer_norm.weight": (2,)})
    layer, norms = "layers.0.", ("input", "post_attention", "pre_feedforward", "post_feedforward")
    encoder("gemma2", {"architectures": ["Gemma2Model"], "vocab_size": 2, "hidden_size": 2, "intermediate_size": 2,
                       "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 2,
                       "sliding_window": 2, "attn_logit_softcapping": 2.0},
            {"embed_tokens.weight": (2, 2), "norm.weight": (2,),
             **{f"{layer}{norm}_layernorm.weight": (2,) for norm in norms},
             **{f"{layer}self_attn.{part}_proj.weight": (2, 2) for part in "kv"},
             layer + "self_attn.q_proj.weight": (4, 2), layer + "self_attn.o_proj.weight": (2, 4),
             **{f"{layer}mlp.{part}_proj.weight": (2, 2) for part in ("gate", "up", "down")}})


def clip_vocabulary_seeds():
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "l": 2, "o</w>": 3, "lo</w>": 4, "h": 5, "he": 6, "e": 7}
    merges = "#version: 0.2\nl o</w>\nh e\r\n"
    write("clip_vocabulary", "small", json.dumps(vocabulary).encode() + b"\0" + merges.encode())


def config_seeds():
    llama = dict(architectures=["LlamaForCausalLM"], vocab_size=128, hidden_size=32, intermediate_size=64,
                 num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                 rms_norm_eps=1e-5, rope_theta=500000.0, tie_word_embeddings=True, eos_token_id=[1, 2], bos_token_id=0,
                 rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                   original_max_position_embeddings=8192))
    write("llm_config", "llama.json", llama)
    qwen = {k: v for k, v in llama.items() if k != "rope_scaling"}
    qwen.update(architectures=["Qwen2ForCausalLM"], use_sliding_window=False, sliding_window=128, head_dim=8,
                rope_parameters=dict(rope_type="default", rope_theta=1e6), layer_types=["full_attention"] * 2,
                quantization_config=dict(quant_method="stamp"))
    write("llm_config", "qwen2.json", qwen)
    write("llm_config", "generation.json",
          dict(do_sample=True, temperature=0.6, top_p=0.9, top_k=20, repetition_penalty=1.1, eos_token_id=2, num_beams=1))
    write("scheduler_config", "dpm.json",
          dict(_class_name="DPMSolverMultistepScheduler", num_train_timesteps=1000, algorithm_type="dpmsolver++",
               beta_start=0.0001, beta_end=0.02, beta_schedule="linear", prediction_type="epsilon", solver_order=2,
               solver_type="midpoint", timestep_spacing="linspace", final_sigmas_type="zero", lambda_min_clipped=-5.1))
    write("scheduler_config", "flow.json",
          dict(_class_name="DPMSolverMultistepScheduler", prediction_type="flow_prediction", use_flow_sigmas=True,
               flow_shift=3.0))
    write("scheduler_config", "euler.json",
          dict(_class_name="FlowMatchEulerDiscreteScheduler", shift=3.0, use_dynamic_shifting=True,
               time_shift_type="linear"))


def recipe_seeds():
    full = json.loads((ROOT / "recipes/w4a4kv4-stamp.json").read_text())
    full["layers"] = [{"range": "0-1,3", "activation_bits": 8}]
    full["sites"] = [{"site": "layers.2.v", "clip": 0.9}]
    full["exclude"] = ["down_proj"]
    write("recipe", "stamp.json", full)
    write("recipe", "short.json", {"schema": 1, "weights": {"bits": 4, "group": 32}})


def tokenizer_seeds():
    special = {"id": 0, "content": "<s>", "special": True, "normalized": False, "lstrip": True}
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                "special_tokens": {"<s>": {"ids": [0]}}}
    write("tokenizer", "bytes.json",
          {"added_tokens": [special], "normalizer": {"type": "NFC"}, "post_processor": template,
           "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
               {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "\\p{L}+|\\s+(?!\\S)|[^\\s\\p{L}]"}},
               {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]},
           "decoder": {"type": "ByteLevel"},
           "model": {"type": "BPE", "ignore_merges": True, "vocab": {"He": 1, "ll": 2}, "merges": ["H e", ["l", "l"]]}})
    write("tokenizer", "words.json",
          {"normalizer": {"type": "Sequence", "normalizers": [
              {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}]},
           "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
               {"type": "Split", "behavior": "Removed", "invert": True, "pattern": {"Regex": "'s|[\\p{L}]+|[^\\s]+"}},
               {"type": "ByteLevel", "add_prefix_space": False}]},
           "decoder": {"type": "ByteLevel"}, "added_tokens": [{"id": 0, "content": "<s>"}],
           "post_processor": {"type": "RobertaProcessing", "cls": ["<s>", 0], "sep": ["<s>", 0]},
           "model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {"lo": 1, "lo</w>": 2}, "merges": ["l o"]}})
    marks = "\u2581"
    write("tokenizer", "marks.json",
          {"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": marks},
           "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"},
           "decoder": {"type": "Sequence", "decoders": [
               {"type": "Replace", "pattern": {"String": marks}, "content": " "}, {"type": "ByteFallback"},
               {"type": "Fuse"}]},
           "model": {"type": "BPE", "byte_fallback": True, "vocab": {marks: 1, "l": 2, "o": 3, "lo": 4},
                     "merges": ["l o"]}})
    write("tokenizer", "unigram.json",
          {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
              {"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": marks, "prepend_scheme": "always"}]},
           "decoder": {"type": "Metaspace"},
           "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], [marks, -1.5], ["l", -2], ["lo", -3.0]]}})
    write("tokenizer_config", "t5.json",
          {"tokenizer_class": "T5Tokenizer", "extra_ids": 2, "eos_token": "</s>", "pad_token": {"content": "<unk>"},
           "add_eos_token": True,
           "added_tokens_decoder": {"5": {"content": "<x>", "special": True, "lstrip": True, "rstrip": True},
                                    "6": {"content": "wor", "single_word": True, "normalized": True}}})
    write("tokenizer_config", "templates.json",
          {"chat_template": [{"name": "default", "template": "{{ messages }}"}], "bos_token": "l", "add_bos_token": True})


def sentencepiece_seeds():
    def varint(value):
        out = bytearray()
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes(out + bytes([value]))

    number = lambda field, value: varint(field << 3) + varint(value)
    text = lambda field, content: varint(field << 3 | 2) + varint(len(content)) + content
    piece = lambda content, score, kind=1: text(
        1, text(1, content) + varint(2 << 3 | 5) + struct.pack("<f", score) + number(3, kind))
    # A -> a: the root, its child A and the leaf of that in a double array, then the replacement
    units = [0] * 67
    units[0], units[1 ^ 65], units[1 ^ 65 ^ 2] = 1 << 10, 2 << 10 | 1 << 8 | 65, 1 << 31
    charsmap = struct.pack("<68I", 4 * 67, *units) + b"a\0"
    pieces = piece(b"<unk>", 0, 2) + piece(b"</s>", 0, 3) + piece("\u2581".encode(), -1) + piece(b"l", -2) + piece(b"lo", -3)
    unigram = pieces + text(2, number(3, 1))
    write("sentencepiece", "unigram.model", b"\0" + unigram + text(3, number(3, 1) + number(4, 1)))
    write("sentencepiece", "t5.model", b"\1" + unigram)
    write("sentencepiece", "charsmap.model", b"\0" + unigram + text(3, text(2, charsmap)))
    write("sentencepiece", "bpe.model",
          b"\2" + pieces + piece(b"o", -4) + text(2, number(3, 2) + number(35, 1)) +
          text(3, number(3, 0) + number(4, 0)))


def chat_template_seeds():
    write("chat_template", "all.jinja", b"""\
{%- macro m(x, y=1) -%}{{ x ~ y }}{%- endmacro -%}
{%- set n = namespace(a=0, l=[1, 2.5, 'x']) -%}{% set t | upper %}text{% endset %}
{% for a, b in {'k': 1, 'v': none}.items() if a != 'z' %}{{ loop.index }}{% if loop.last %}{% break %}{% endif %}{% else %}-{% endfor %}
{% filter trim | indent(2) %} {{ m(t[0:2:-1], y=n.l | map('string') | join(',')) }} {% endfilter %}
{% raw %}{{ x }}{% endraw %}{# comment #}{% generation %}{{ messages | tojson(indent=2) }}{% endgeneration %}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ range(3, 9, 2) | list }} {{ -7 // 2 % 3 }}
{{ ' a b '.strip().split(' ', 1) }} {{ 'a,b'.rsplit(',') }} {{ 'x\\ny'.splitlines() }} {{ 'aXa'.replace('X', '\\u00e9') | title }}
{{ strftime_now('%d %B %Y') }} {{ 1 if n.a is defined and 'x' in n.l else 2 }} {{ dict(a=1).get('b', 3) }} {{ [1, 1] | unique | list }}
""")


def gguf_seeds():
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    def value(item):  # type and value as GGUF's own reader expects them
        if isinstance(item, list):
            kind = value(item[0])[:4]
            return struct.pack("<I", 9) + kind + struct.pack("<Q", len(item)) + b"".join(value(i)[4:] for i in item)
        if isinstance(item, bool):
            return struct.pack("<IB", 7, item)
        if isinstance(item, int):
            return struct.pack("<II", 4, item)
        if isinstance(item, float):
            return struct.pack("<If", 6, item)
        return struct.pack("<I", 8) + text(item)

    def file(values, tensors):
        header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
        header += b"".join(text(key) + value(item) for key, item in values.items())
        step = values.get("general.alignment", 32)
        contents = b""
        for name, (shape, kind, content) in tensors.items():
            header += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(contents))
            contents += content + bytes(-len(content) % step)
        return header + bytes(-len(header) % step) + contents

    def model(name, pre):
        sizes = dict(embedding_length=8, feed_forward_length=8, block_count=1, context_length=16)
        values = {"general.architecture": name, **{f"{name}.{key}": size for key, size in sizes.items()},
                  f"{name}.attention.head_count": 2, f"{name}.attention.layer_norm_rms_epsilon": 1e-5,
                  "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": ["a", "b", "ab", "</s>"],
                  "tokenizer.ggml.token_type": [1, 1, 1, 3], "tokenizer.ggml.merges": ["a b"],
                  "tokenizer.ggml.eos_token_id": 3, "tokenizer.chat_template": "{{ messages }}"}
        return values

    write("gguf", "llama.gguf", file(model("llama", "llama-bpe"),
          {"token_embd.weight": ([8, 4], 0, bytes(128)), "blk.0.attn_q.weight": ([8, 8], 30, bytes(128)),
           "rope_freqs.weight": ([2], 0, struct.pack("<2f", 1, 1))}))
    write("gguf", "qwen2.gguf", file({"general.alignment": 64, **model("qwen2", "qwen2")},
          {"token_embd.weight": ([8, 4], 1, bytes(64)), "blk.0.attn_q.bias": ([8], 0, bytes(32))}))
    write("gguf", "blocks.gguf", file({"general.architecture": "llama", "flag": True},
          {"blk.0.attn_k.weight": ([32, 2], 2, bytes(36)), "output_norm.weight": ([1], 0, bytes(4))}))


def image_seeds():
    write("image_config", "pixart.json",
          dict(_class_name="PixArtTransformer2DModel", num_layers=2, num_attention_heads=2, attention_head_dim=8,
               in_channels=4, out_channels=8, patch_size=2, sample_size=16, caption_channels=12, interpolation_scale=1.0,
               norm_type="ada_norm_single", cross_attention_dim=16, use_additional_conditions=False))
    write("image_config", "sana.json",
          dict(_class_name="SanaTransformer2DModel", num_layers=2, num_attention_heads=2, attention_head_dim=8,
               num_cross_attention_heads=2, cross_attention_head_dim=8, mlp_ratio=2.5, qk_norm="rms_norm_across_heads",
               guidance_embeds=False, timestep_scale=1000.0))
    write("image_config", "vae.json",
          dict(_class_name="AutoencoderKL", block_out_channels=[32, 64], down_block_types=["DownEncoderBlock2D"] * 2,
               up_block_types=["UpDecoderBlock2D"] * 2, latent_channels=4, layers_per_block=2, norm_num_groups=32,
               scaling_factor=0.13025, shift_factor=None, act_fn="silu"))
    stage = dict(block_out_channels=[8, 16], layers_per_block=[1, 2], block_types=["ResBlock", "EfficientViTBlock"],
                 qkv_multiscales=[[], [5]])
    write("image_config", "dcae.json",
          dict(_class_name="AutoencoderDC", latent_channels=8, attention_head_dim=4, scaling_factor=0.41,
               decoder_norm_types="rms_norm", decoder_act_fns=["silu", "silu"], upsample_block_type="interpolate",
               **{f"{part}_{key}": value for part in ("encoder", "decoder") for key, value in stage.items()}))
    tower = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, hidden_act="gelu")
    write("image_config", "clip.json",
          dict(architectures=["CLIPModel"], model_type="clip", projection_dim=8,
               text_config=dict(vocab_size=64, max_position_embeddings=16, eos_token_id=2, **tower),
               vision_config=dict(image_size=32, patch_size=8, **tower)))
    write("image_config", "model_index.json", dict(_class_name="SanaPipeline", vae=["diffusers", "AutoencoderDC"]))

    def png(width, height, *chunks):
        header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        file = b"\x89PNG\r\n\x1a\n"
        for kind, content in (header, *chunks, (b"IEND", b"")):
            file += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        return file

    rows = b"".join(bytes([filter_type]) + bytes(range(9)) for filter_type in range(5))
    write("png", "filters.png", png(3, 5, (b"IDAT", zlib.compress(rows))))
    write("png", "texts.png",
          png(1, 1, (b"tEXt", b"seed\x007"), (b"zTXt", b"note\0\0" + zlib.compress(b"a note")),
              (b"iTXt", b"prompt\0\0\0\0\0a caf\xc3\xa9"), (b"tRNS", bytes(6)), (b"IDAT", zlib.compress(bytes(4)))))


def request_seeds():
    # the first byte: odd for chats
    write("completion_request", "text.json",
          b"0" + json.dumps(dict(model="m", prompt="lo ol", max_tokens=5, temperature=0.5, top_p=0.9, top_k=3, seed=1,
                                 stop=["o"], n=2, stream=True, stream_options={"include_usage": True}, logprobs=2)).encode())
    write("completion_request", "ids.json",
          b"0" + json.dumps(dict(model="m", prompt=[[1, 2], "l"], presence_penalty=0, logit_bias={}, user="u")).encode())
    write("completion_request", "chat.json",
          b"1" + json.dumps(dict(model="m", messages=[
              {"role": "system", "content": "lo"}, {"role": "user", "name": "u", "content": [{"type": "text", "text": "ol"}]}],
              max_completion_tokens=7, repetition_penalty=1.1, stop="x", logprobs=True, top_logprobs=3)).encode())
    write("image_request", "all.json",
          dict(model="m", prompt="a cat", negative_prompt="b", n=2, size="64x32", response_format="b64_json", seed=3, steps=4,
               guidance=2.5, user="u"))
    write("image_request", "auto.json", dict(prompt="a", size="auto", n=1.0))


def task_seeds():
    lines = dict(
        arc=dict(question="Why?", choices=dict(text=["this", "that"], label=["A", "B"]), answerKey="B"),
        hellaswag=dict(activity_label="Cook", ctx_a="A man [x]  stirs.", ctx_b="he", endings=[" eats [title] Done", "c"],
                       label="1"),
        piqa=dict(goal="Open", sol1="pull", sol2="push", label=1),
        winogrande=dict(sentence="The cup _  was wet.", option1="a", option2="b", answer="2"),
        cloze=dict(context="a", choices=["b", "c"], answer=0))
    for name, line in lines.items():
        write("task", name + ".jsonl", (json.dumps(line) + "\n\n" + json.dumps(line) + "\n").encode())
    write("shard_index", "two.json",
          dict(metadata=dict(total_size=8), weight_map=dict(a="model-00001-of-00002.safetensors",
                                                            b="model-00002-of-00002.safetensors",
                                                            c="model-00001-of-00002.safetensors")))


def main():
    for make in (json_seeds, safetensors_seeds, packed_linears_seeds, calibration_seeds, text_encoder_seeds, config_seeds,
                 recipe_seeds, tokenizer_seeds, clip_vocabulary_seeds, sentencepiece_seeds, chat_template_seeds, gguf_seeds,
                 image_seeds, request_seeds, task_seeds):
        make()


if __name__ == "__main__":
    main()
