#!/usr/bin/env python3
"""Makes tests/data/packed: linears in the integer layouts of GPTQ, AWQ and compressed-tensors, and their values.

    python3 tools/make_packed_fixtures.py [--out tests/data/packed]

Needs torch and safetensors; with the package compressed-tensors its own packing is compared with the one here. CASE.safetensors
holds the parts of "linear", cases.json the quantization_config of each case and the type that holds its values, and
expected.safetensors the values. Each packed tensor is unpacked again the way the torch kernels of AutoGPTQ and AutoAWQ do (all
fields by broadcast shifts, then a permutation) before it is written. llama-gptq/ is the model of tests/data/llm/llama
in GPTQ's layout, llama-gptq-plain/ the same weights in fp32.
"""
import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
AWQ_ORDER, AWQ_REVERSE = [0, 2, 4, 6, 1, 3, 5, 7], [0, 4, 1, 5, 2, 6, 3, 7]


def to_words(fields, bits, dim):
    """Unsigned fields along `dim` into int32 words, lowest bits first; the last word is filled up with zeros."""
    fields = fields.movedim(dim, -1).to(torch.int64)
    per_word = 32 // bits
    fields = torch.nn.functional.pad(fields, (0, -fields.shape[-1] % per_word))
    words = sum(fields[..., i::per_word] << (bits * i) for i in range(per_word))
    words = torch.where(words >= 1 << 31, words - (1 << 32), words)
    return words.to(torch.int32).movedim(-1, dim).contiguous()


def unpack_rows(words, bits):
    """Fields along dimension 0, as AutoGPTQ's torch kernels read them."""
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    return ((words[:, None, :] >> shifts[None, :, None]) & (2**bits - 1)).reshape(-1, words.shape[1])


def unpack_columns(words, bits):
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    return ((words[:, :, None] >> shifts) & (2**bits - 1)).reshape(words.shape[0], -1)


def check(name, got, want):
    if not torch.equal(got.to(torch.int64), want.to(torch.int64)):
        raise SystemExit(f"{name}: the packed fields do not come back")


def gptq(codes, zeros, scales, groups_of, bits, less_one=True):
    """codes [out, in], zeros and scales [out, groups]."""
    stored = (zeros - 1) & (2**bits - 1) if less_one else zeros
    parts = {"qweight": to_words(codes.T, bits, 0), "qzeros": to_words(stored.T, bits, 1),
             "scales": scales.T.contiguous(), "g_idx": groups_of.to(torch.int32)}
    check("gptq codes", unpack_rows(parts["qweight"], bits), codes.T)
    back = unpack_columns(parts["qzeros"], bits)
    check("gptq zeros", (back + 1) & (2**bits - 1) if less_one else back, zeros.T)
    return parts


def awq(codes, zeros, scales):
    def ordered(fields):  # [rows, out]
        return fields.reshape(fields.shape[0], -1, 8)[:, :, AWQ_ORDER].reshape(fields.shape)

    def back(words):
        fields = unpack_columns(words, 4)
        places = torch.arange(fields.shape[1]).reshape(-1, 8)[:, AWQ_REVERSE].reshape(-1)
        return fields[:, places]

    parts = {"qweight": to_words(ordered(codes.T), 4, 1), "qzeros": to_words(ordered(zeros.T), 4, 1),
             "scales": scales.T.contiguous()}
    check("awq codes", back(parts["qweight"]), codes.T)
    check("awq zeros", back(parts["qzeros"]), zeros.T)
    return parts


def compressed(codes, zeros, scales, bits, groups_of=None):
    parts = {"weight_packed": to_words(codes, bits, 1), "weight_scale": scales,
             "weight_shape": torch.tensor(codes.shape, dtype=torch.int64)}
    if zeros is not None:
        parts["weight_zero_point"] = to_words(zeros, bits, 0)
    if groups_of is not None:
        parts["weight_g_idx"] = groups_of.to(torch.int32)
    try:
        from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
    except ImportError:
        print("compressed-tensors is not installed: its packing is not compared")
        return parts
    middle = 2 ** (bits - 1)
    check("compressed-tensors codes", pack_to_int32((codes - middle).to(torch.int8), bits), parts["weight_packed"])
    if zeros is not None:
        theirs = pack_to_int32((zeros - middle).to(torch.int8), bits, packed_dim=0)
        check("compressed-tensors zeros", theirs, parts["weight_zero_point"])
    return parts


def scheme(bits, group, symmetric):
    return {"quant_method": "compressed-tensors", "format": "pack-quantized", "kv_cache_scheme": None, "ignore": ["lm_head"],
            "config_groups": {"group_0": {"targets": ["Linear"], "input_activations": None, "output_activations": None,
                                          "weights": {"num_bits": bits, "type": "int", "symmetric": symmetric,
                                                      "strategy": "group" if group else "channel", "group_size": group}}}}


def make_cases(out):
    generator = torch.Generator().manual_seed(3)
    cases, expected = {}, {}

    def draw(rows, columns, group, bits, symmetric, dtype):
        groups = -(-columns // group)
        codes = torch.randint(0, 2**bits, (rows, columns), generator=generator)
        zeros = torch.full((rows, groups), 2 ** (bits - 1))
        if not symmetric:
            zeros = torch.randint(0, 2**bits, (rows, groups), generator=generator)
        scales = (0.01 + 0.1 * torch.rand(rows, groups, generator=generator)).to(dtype)
        return codes, zeros, scales

    def add(name, config, parts, values, kind):
        save_file({f"linear.{key}": value for key, value in parts.items()}, out / f"{name}.safetensors")
        cases[name] = {"quantization_config": config, "type": kind}
        expected[name] = values.to(torch.float16).float() if kind == "F16" else values

    def values(codes, zeros, scales, groups_of):
        return scales.float()[:, groups_of] * (codes - zeros[:, groups_of]).float()

    rows, columns, group = 24, 96, 32
    neighbours = torch.arange(columns) // group
    mixed = neighbours[torch.randperm(columns, generator=generator)]
    for name, bits, symmetric, format, order, kind in (
        ("gptq-symmetric", 4, True, "gptq", neighbours, "Q4_0"), ("gptq-zeros", 4, False, "gptq", neighbours, "Q8_0"),
        ("gptq-v2-zeros", 4, False, "gptq_v2", neighbours, "Q8_0"), ("gptq-act-order", 4, False, "gptq", mixed, "F16"),
        ("gptq-8-bits", 8, True, "gptq", neighbours, "Q8_0"), ("gptq-8-bits-zeros", 8, False, "gptq", neighbours, "F16"),
    ):  # fmt: skip
        drawn = draw(rows, columns, group, bits, symmetric, torch.float16)
        config = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": symmetric, "checkpoint_format": format,
                  "desc_act": order is mixed}
        add(name, config, gptq(*drawn, order, bits, format == "gptq"), values(*drawn, order), kind)
    drawn = draw(rows, columns, group, 4, False, torch.float16)
    add("awq", {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True, "version": "gemm"}, awq(*drawn),
        values(*drawn, neighbours), "Q8_0")
    one = torch.zeros(columns, dtype=torch.int64)
    for name, bits, size, symmetric, dtype, order, kind in (
        ("ct-group", 4, group, True, torch.bfloat16, None, "Q4_0"), ("ct-channel", 4, None, True, torch.float16, None, "Q4_0"),
        ("ct-zeros", 4, group, False, torch.float16, None, "Q8_0"), ("ct-8-bits", 8, group, True, torch.float16, None, "Q8_0"),
        ("ct-order", 4, group, True, torch.float16, mixed, "F16"), ("ct-fp32-scales", 4, group, True, torch.float32, None, "F16"),
    ):  # fmt: skip
        codes, zeros, scales = draw(rows, columns, size or columns, bits, symmetric, dtype)
        groups_of = order if order is not None else neighbours if size else one
        add(name, scheme(bits, size, symmetric), compressed(codes, None if symmetric else zeros, scales, bits, order),
            values(codes, zeros, scales, groups_of), kind)
    (out / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    save_file(expected, out / "expected.safetensors")


def make_model(out):
    source = DATA / "llm/llama/ckpt"
    plain, packed = {}, {}
    for name, weight in load_file(source / "model.safetensors").items():
        if not name.endswith("_proj.weight"):
            plain[name] = packed[name] = weight
            continue
        scales = (weight.abs().amax(1, keepdim=True) / 7).to(torch.float16)
        codes = torch.clamp(torch.round(weight / scales.float()), -8, 7).to(torch.int64) + 8
        groups_of = torch.zeros(weight.shape[1], dtype=torch.int64)
        zeros = torch.full((weight.shape[0], 1), 8)
        stem = name.removesuffix(".weight")
        packed |= {f"{stem}.{key}": value for key, value in gptq(codes, zeros, scales, groups_of, 4).items()}
        plain[name] = scales.float() * (codes - 8).float()
    config = json.loads((source / "config.json").read_text())
    for folder, tensors in ((out / "llama-gptq-plain", plain), (out / "llama-gptq", packed)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        if tensors is packed:
            config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": -1, "sym": True, "desc_act": False}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DATA / "packed")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    make_cases(out)
    make_model(out)


if __name__ == "__main__":
    main()
