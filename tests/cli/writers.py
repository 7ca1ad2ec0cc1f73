#!/usr/bin/env python3
"""Kills everything that writes files at every kind of moment, and fills its disk. Usage: writers.py PROGRAM SOURCE_DIR FAULTS

FAULTS is file_faults.cc as a library. For each command below: SIGKILL at operations on files, spread over the run and in the
middle of writes (KILLS of them, 4), and at random times (half as many); after each, whatever has its final name must be whole,
and the same command must end well and give the bytes of an undisturbed run. Then the disk becomes full, at operations on files
and as a tmpfs of several sizes (where mounting is allowed): exit code 1, one line that names a file and the reason, nothing
half-written under its final name. Standard library only.
"""
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

PROGRAM, SOURCE, FAULTS = map(os.path.abspath, sys.argv[1:4])
KILLS = int(os.environ.get("KILLS", "4"))
PIPELINE = f"{SOURCE}/tests/data/oracles/pipe/pixart_words/ckpt"
SMALL = ["--steps", "2", "--size", "16x24", "--seed", "3"]
WINDOWS = ["--context", "64", "--windows", "1"]

# name, arguments; what they read lies in ../in.
WRITERS = [
    ("quantize", ["quantize", "../in/model", "--recipe", "w4a8kv8", "--out", "stored"]),
    ("quantize with GPTQ", ["quantize", "../in/model", "--recipe", "../in/gptq.json", "--out", "stored"]),
    ("compare", ["compare", "../in/model", "--text", "../in/model/heldout.txt", "--bits", "w4a4kv4", "--feature", "none",
                 "--sequence", "none,haar", *WINDOWS, "--out", "r.html", "--json-out", "r.json"]),
    ("learned transforms", ["eval", "../in/model", "--text", "../in/model/heldout.txt", "--recipe", "paper-flatquant",
                            "--calibration", "../in/model/calibration.txt", *WINDOWS, "--cache", "cache"]),
    ("sensitivity", ["sensitivity", "../in/model", *WINDOWS, "--out", "s.html", "--json-out", "s.json"]),
    ("tune", ["tune", "../in/model", *WINDOWS, "--held-out-windows", "1", "--feature", "none", "--sequence", "identity,haar",
              "--out", "tuned.json", "--state", "state.json"]),
    ("image", ["image", PIPELINE, *SMALL, "--prompts", "../in/prompts.txt", "--preview", "1", "--out", "a.png"]),
    ("image, calibrated", ["image", PIPELINE, *SMALL, "--prompt", "ball", "--recipe", "paper-vidit-q", "--calibration-prompts",
                           "../in/prompts.txt", "--cache", "cache", "--out", "a.jpg"]),
    ("compare of images", ["compare", PIPELINE, *SMALL, "--prompts", "../in/prompts.txt", "--recipes", "bf16,image-w4a4-stamp",
                           "--teacher-prompts", "1", "--cache", "cache", "--out", "r.html", "--json-out", "r.json"]),
    ("bench", ["bench", "--shape", "../in/model/config.json", "--recipe", "w4a4kv4-stamp", "--prefill", "16", "--runs", "1"]),
]
MEASURED = re.compile(r"\.(html|json)$")  # hold times and the like
REPLACED = {"tuned.json", "tuned.evidence.json", "state.json"}  # and previews: whole at any time, but not yet the last ones


def write_model(folder):
    """Two layers of random weights, the bundled tokenizer's bytes without its merges, and the bundled texts."""
    os.makedirs(folder)
    bundled = f"{SOURCE}/demo/llm"
    with open(f"{bundled}/tokenizer.json", encoding="utf-8") as file:
        tokenizer = json.load(file)
    model = tokenizer["model"]
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    single = [token for token in model["vocab"] if len(token) == 1]
    model["vocab"] = special | {token: len(special) + i for i, token in enumerate(single)}
    model["merges"] = []
    vocab, hidden, ffn, kv = len(model["vocab"]), 64, 128, 32
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=hidden, intermediate_size=ffn,
                  num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16, vocab_size=vocab,
                  rope_theta=10000.0, rms_norm_eps=1e-5, tie_word_embeddings=True, attention_bias=False, mlp_bias=False,
                  max_position_embeddings=512, hidden_act="silu", torch_dtype="bfloat16", bos_token_id=0, eos_token_id=1)
    shapes = {"model.embed_tokens.weight": (vocab, hidden), "model.norm.weight": (hidden,)}
    for i in range(2):
        layer = {"self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (kv, hidden), "self_attn.v_proj": (kv, hidden),
                 "self_attn.o_proj": (hidden, hidden), "mlp.gate_proj": (ffn, hidden), "mlp.up_proj": (ffn, hidden),
                 "mlp.down_proj": (hidden, ffn), "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,)}
        shapes |= {f"model.layers.{i}.{name}.weight": shape for name, shape in layer.items()}
    rng, header, data = random.Random(1), {}, b""
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = [1.0] * count if len(shape) == 1 else [rng.uniform(-0.3, 0.3) for _ in range(count)]
        begin = len(data)
        data += b"".join(struct.pack("<f", value)[2:] for value in values)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{folder}/model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    for name, content in (("config.json", config), ("tokenizer.json", tokenizer)):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            json.dump(content, file)
    shutil.copy(f"{bundled}/tokenizer_config.json", folder)
    for name in ("heldout.txt", "calibration.txt"):
        with open(f"{bundled}/{name}", encoding="utf-8") as file, open(f"{folder}/{name}", "w", encoding="utf-8") as out:
            out.write(file.read()[:4000])


def run(arguments, folder, kill_after=None, **faults):
    """Exit code (negative: the signal) and what was printed as errors. Temporary files go to `folder`, too."""
    environment = os.environ | {"OMP_WAIT_POLICY": "passive", "TMPDIR": folder}
    if faults:
        environment |= {"LD_PRELOAD": FAULTS} | {"FILE_FAULTS_" + name.upper(): str(value) for name, value in faults.items()}
    process = subprocess.Popen([PROGRAM, *arguments, "--threads", "1"], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    errors = process.communicate(timeout=300)[1]
    return process.returncode, errors


def visible(folder):
    """Path and bytes of what has its final name: not temporary neighbours, work in progress, what is being removed."""
    found = {}
    for place, _, files in os.walk(folder):
        for name in files:
            path = os.path.relpath(os.path.join(place, name), folder)
            if not re.search(r"\.tmp-\d+-\d+$|\.partial/|\.removed/|^stamp-\w{6}/", path):
                with open(os.path.join(place, name), "rb") as file:
                    found[path] = file.read()
    return found


def without_measurements(content):
    """Times, rates and memory differ between runs; what does not shows whether all is there."""
    return re.sub(rb"[-+0-9.e]+", b"0", content)


def check_whole(what, folder, reference):
    for path, content in visible(folder).items():
        name = os.path.basename(path)
        if name in REPLACED or "preview" in name:
            if name.endswith(".json"):
                json.loads(content)
            else:
                assert content.endswith(b"IEND\xaeB`\x82") or content.endswith(b"\xff\xd9"), f"{what}: {path} is cut off"
            continue
        assert path in reference, f"{what}: left {path}"
        assert same(path, content, reference), f"{what}: {path} is not whole"
    if any(path.startswith("stored/") for path in visible(folder)):
        assert visible(folder).keys() == reference.keys(), f"{what}: only a part of the directory is there"


def same(path, content, reference):
    wanted, exact = reference[path]
    return content == wanted if exact else without_measurements(content) == without_measurements(wanted)


def undisturbed(arguments, work):
    """{path: (bytes, whether every run gives the same)}, operations on files, seconds."""
    results = []
    for number in range(2):
        folder = fresh(work)
        count_file, start = os.path.join(os.path.dirname(work), "count"), time.monotonic()
        code, errors = run(arguments, folder, count=count_file)
        assert code == 0, f"undisturbed: exit code {code}, {errors}"
        results.append(visible(folder))
        seconds = time.monotonic() - start
    with open(count_file) as file:
        count = int(file.read())
    assert results[0].keys() == results[1].keys(), (results[0].keys(), results[1].keys())
    exact = {path for path, content in results[0].items() if content == results[1][path] and not MEASURED.search(path)}
    return {path: (content, path in exact) for path, content in results[0].items()}, count, seconds


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def spread(rng, count, most):
    """`most` of the numbers 1 to `count`, the first and the last among them."""
    return sorted({1, count} | {rng.randrange(1, count + 1) for _ in range(most - 2)}) if count else []


def check_end(what, arguments, folder, reference):
    was_whole = visible(folder).keys() == reference.keys()
    code, errors = run(arguments, folder)
    is_done = was_whole and code == 2 and "exists; --force replaces it" in errors
    assert code == 0 or is_done, f"{what}: the same command again: exit code {code}, {errors}"
    found = visible(folder)
    assert found.keys() == reference.keys(), f"{what}: expected {sorted(reference)}, got {sorted(found)}"
    for path, content in found.items():
        assert same(path, content, reference), f"{what}: {path} has other bytes than after an undisturbed run"


def check_kills(name, arguments, work, rng, reference, count, seconds):
    for at in spread(rng, count, KILLS):
        folder, what = fresh(work), f"{name}, killed at operation {at} of {count}"
        code, errors = run(arguments, folder, kill_at=at)
        assert code == -signal.SIGKILL, f"{what}: exit code {code}, {errors}"
        check_whole(what, folder, reference)
        check_end(what, arguments, folder, reference)
    for _ in range(KILLS // 2):
        folder, after = fresh(work), rng.uniform(0, seconds)
        what = f"{name}, killed after {after:.3f} s"
        run(arguments, folder, kill_after=after)
        check_whole(what, folder, reference)
        check_end(what, arguments, folder, reference)


def check_full(what, code, errors, folder, reference):
    lines = [line for line in errors.splitlines() if line.startswith("stamp:")]
    assert code == 1, f"{what}: expected exit code 1, got {code}: {errors}"
    said = "No space left on device" in errors or re.search(r"needs \S+ MB more, the disk has \S+ MB left", errors)
    assert len(lines) == 1 and said and re.match(r"stamp: (\S*[./]\S+|cache): ", lines[0]), f"{what}: {errors}"
    check_whole(what, folder, reference)
    leftovers = [path for path in os.listdir(folder) if ".tmp-" in path]
    assert not leftovers, f"{what}: left {leftovers}"


def check_injected(name, arguments, work, rng, reference, count):
    """Every operation fails from the n-th one on."""
    refused = 0
    for at in spread(rng, count, KILLS):
        folder, what = fresh(work), f"{name}, disk full at operation {at} of {count}"
        code, errors = run(arguments, folder, full_at=at)
        if code == 0:  # only renames and removals were left
            check_end(what, arguments, folder, reference)
            continue
        refused += 1
        check_full(what, code, errors, folder, reference)
        check_end(what, arguments, folder, reference)
    assert refused or not count, f"{name}: no full disk was noticed"
    return refused


class Tmpfs:
    def __init__(self, folder, kilobytes):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], check=True, capture_output=True, text=True)

    def __enter__(self):
        return self.folder

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.folder], check=True)


def check_tmpfs(name, arguments, mount, reference):
    needed = sum(len(content) for content, _ in reference.values()) // 1024
    refused = 0
    for kilobytes in sorted({4, max(4, needed // 4 * 4 // 2), max(4, needed // 4 * 4 - 8)}):
        with Tmpfs(mount, kilobytes) as folder:
            what = f"{name}, on {kilobytes} KiB"
            code, errors = run(arguments, folder)
            if code == 0:
                continue
            refused += 1
            check_full(what, code, errors, folder, reference)
    assert refused, f"{name}: ran on a disk of 4 KiB"
    return refused


def may_mount(mount):
    try:
        with Tmpfs(mount, 64):
            return True
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"no tmpfs is mounted here: {(getattr(error, 'stderr', '') or str(error)).strip()}")
        return False


def check_output():
    """Standard output may lead to a full disk, too."""
    for arguments in (["recipe", "w4a4kv4"], ["info", f"{SOURCE}/demo/llm", "--json"], ["--help"], ["completion", "bash"]):
        with open("/dev/full", "w") as full:
            result = subprocess.run([PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
        assert result.returncode == 1 and "No space left on device" in result.stderr, \
            f"{arguments} > /dev/full: exit code {result.returncode}, {result.stderr!r}"
    print("standard output: a full disk is an error")


def main():
    root = tempfile.mkdtemp()
    try:
        check_output()
        write_model(f"{root}/in/model")
        with open(f"{root}/in/gptq.json", "w") as file:
            json.dump({"schema": 1, "name": "gptq", "weights": {"bits": 4, "quantizer": "gptq"}}, file)
        with open(f"{root}/in/prompts.txt", "w") as file:
            file.write("a red ball\nball\n")
        mountable = may_mount(f"{root}/full")
        for name, arguments in WRITERS:
            rng, work = random.Random(name), f"{root}/work"
            reference, count, seconds = undisturbed(arguments, work)
            check_kills(name, arguments, work, rng, reference, count, seconds)
            refused = check_injected(name, arguments, work, rng, reference, count)
            mounted = check_tmpfs(name, arguments, f"{root}/full", reference) if mountable else 0
            print(f"{name}: {count} operations on files, {len(reference)} files; killed {KILLS + KILLS // 2} times, a full disk "
                  f"{refused} times, a small tmpfs {mounted} times", flush=True)
    except AssertionError as error:
        sys.exit(f"writers: {error}")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
