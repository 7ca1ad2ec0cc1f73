#!/usr/bin/env python3
"""Times OpenVINO: prefill and single tokens of OpenVINO GenAI on a GGUF file, and one compiled int8 linear."""
import numpy as np
import openvino as ov
from child import arguments, finish, time_passes


def time_generation(options):
    """Prefill seconds, or seconds of each token behind the cache; both from the pipeline's own metrics."""
    import openvino_genai as genai

    pipeline = genai.LLMPipeline(options.model, "CPU", INFERENCE_NUM_THREADS=options.threads)
    config = genai.GenerationConfig()
    config.max_new_tokens, config.ignore_eos, config.do_sample = options.decode + 2, True, False
    tokens = options.prefill or max(options.depth, 1)
    rng = np.random.default_rng(0)
    passes = []
    for _ in range(options.runs + 1 if options.prefill else 1):
        ids = rng.integers(300, 100000, (1, tokens), dtype=np.int64)  # new ones: nothing to reuse
        inputs = genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        metrics = pipeline.generate(inputs, config).perf_metrics.raw_metrics
        durations = [1e-6 * duration for duration in metrics.token_infer_durations]
        passes.append(durations[0])
    return passes[1:] if options.prefill else durations[2:]


def int8_linear(rows, in_dim, out_dim):
    """y = x W^T with codes given: u8 rows, i8 weights with a scale per channel."""
    from openvino import opset13 as ops

    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (out_dim, in_dim), dtype=np.int8)
    scales = rng.uniform(0.5, 1.5, (out_dim, 1)).astype(np.float32) / 1000
    x = ops.parameter([rows, in_dim], np.uint8, name="x")
    low, high, one = np.float32(0), np.float32(255), np.float32(1)
    # The codes' own grid: without a FakeQuantize the compiler looks for no int8 product (half the speed).
    values = ops.fake_quantize(ops.convert(x, "f32"), low, high, low, one, 256)
    weights = ops.multiply(ops.convert(ops.constant(weight), "f32"), ops.constant(scales))
    return ov.Model([ops.matmul(values, weights, False, True)], [x], "linear")


def time_linear(options):
    rows, in_dim, out_dim = options.linear
    core = ov.Core()
    compiled = core.compile_model(
        int8_linear(rows, in_dim, out_dim), "CPU", {"INFERENCE_NUM_THREADS": options.threads}
    )
    request = compiled.create_infer_request()
    x = np.random.default_rng(1).integers(0, 256, (rows, in_dim), dtype=np.uint8)
    request.set_input_tensor(ov.Tensor(x, shared_memory=True))
    return time_passes(request.infer, options.runs)


def main():
    options = arguments(__doc__)
    seconds = time_linear(options) if options.linear else time_generation(options)
    finish(seconds, version="OpenVINO " + ov.__version__.split("-")[0])


if __name__ == "__main__":
    main()
