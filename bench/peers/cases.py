"""What is measured: one case is one process that prints seconds and its peak memory."""
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LINEARS = [(2048, 2048, 8192), (2048, 8192, 2048)]
TIMED_TOKENS = 24


@dataclass
class Case:
    row: str  # of the table
    column: str
    command: list
    amount: float  # done in each of the printed seconds: tokens, or operations * 1e-9

    @property
    def name(self):
        return f"{self.column}, {self.row}"


def prefill_row(tokens):
    return f"prefill {tokens}"


def decode_row(depth):
    return f"decode at {depth}"


def linear_row(shape):
    return "linear {}x{}->{} (GOPS)".format(*shape)


def child(python, script, column, row, amount, options, *arguments):
    command = [python, HERE / script, "--threads", options.threads, *arguments]
    return Case(row, column, [str(part) for part in command], amount)


def model_cases(python, script, column, options, model, *extra, depths=()):
    """Prefill and decoding of a peer; `depths`: of the decoding."""
    common = ["--model", model, *extra]
    for tokens in options.prefill if not extra or extra[1] == "f16" else ():
        yield child(python, script, column.replace(", f16 cache", ""), prefill_row(tokens), tokens, options,
                    "--prefill", tokens, *common)  # fmt: skip
    for depth in depths:
        yield child(python, script, column, decode_row(depth), 1, options,
                    "--decode", TIMED_TOKENS, "--depth", depth, *common)  # fmt: skip


def llama_cases(python, models, options):
    for kv in ("f16", "q8_0", "q4_0"):
        yield from model_cases(python, "llama_child.py", f"llama.cpp Q4_0, {kv} cache", options, models["q4_0"],
                               "--kv", kv, depths=options.depths)  # fmt: skip
    yield from model_cases(python, "llama_child.py", "llama.cpp bf16, f16 cache", options, models["bf16"],
                           "--kv", "f16", depths=options.depths[:1])  # fmt: skip


def openvino_cases(python, models, options):
    yield from model_cases(python, "openvino_child.py", "OpenVINO Q4_0", options, models["q4_0"], depths=options.depths)
    for shape in LINEARS:
        yield linear_case(python, "openvino_child.py", "OpenVINO int8", shape, options, "int8")


def torch_cases(python, options):
    for kind in ("int8", "bf16"):
        for shape in LINEARS:
            yield linear_case(python, "torch_child.py", f"PyTorch {kind}", shape, options, kind)


def linear_case(python, script, column, shape, options, kind):
    operations = 2e-9 * shape[0] * shape[1] * shape[2]
    return child(python, script, column, linear_row(shape), operations, options,
                 "--linear", *shape, "--kind", kind, "--runs", 10)  # fmt: skip


def stamp_cases(options, plain):
    """`plain`: a directory of bf16 weights; those of the other recipes are made by the program."""
    always = ["--json", "--threads", options.threads]
    for recipe in options.recipes:
        column, depths = f"stamp {recipe}", options.depths
        if recipe == "bf16":
            common, depths = [options.stamp, "bench", plain, "--compute", "bf16", *always], depths[:1]
        else:
            common = [options.stamp, "bench", "--shape", "llama-3.2-1b", "--recipe", recipe, *always]
            common += ["--lm-head", options.lm_head] if options.lm_head else []
        for tokens in options.prefill:
            yield Case(prefill_row(tokens), column, [*common, "--prefill", tokens, "--runs", 1], tokens)
        for depth in depths:
            decode = ["--decode", TIMED_TOKENS, "--depth", depth, "--runs", 1]
            yield Case(decode_row(depth), column, [*common, *decode], 1)
    linear = [options.stamp, "bench", "--linear", "--recipe", options.recipes[0], "--runs", 10, *always]
    for shape in LINEARS:
        yield Case(linear_row(shape), f"stamp {options.recipes[0]}", linear, 2e-9 * shape[0] * shape[1] * shape[2])


def all_cases(python, torch_python, models, plain, options):
    """The cases of every engine, one of each in turn, so that none has the machine to itself at a better time."""
    engines = [stamp_cases(options, plain)]
    if "llama.cpp" in options.engines:
        engines.append(llama_cases(python, models, options))
    if "openvino" in options.engines:
        engines.append(openvino_cases(python, models, options))
    if "torch" in options.engines:
        engines.append(torch_cases(torch_python, options))
    cases = [list(engine) for engine in engines]
    order = sorted((index / len(engine), number, case)
                   for number, engine in enumerate(cases) for index, case in enumerate(engine))  # fmt: skip
    return [case for _, _, case in order]
