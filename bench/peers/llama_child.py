#!/usr/bin/env python3
"""Times llama.cpp: prefill of one batch, or single tokens behind a cache of a given depth."""
import ctypes
import time

import llama_cpp as ll
from child import arguments, finish, time_passes

CACHE_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}  # enum ggml_type
CHUNK = 256  # tokens computed to fill a cache; the rest are copies of them


def open_context(options, capacity):
    ll.llama_log_set(silent, None)
    ll.llama_backend_init()
    model = ll.llama_model_load_from_file(options.model.encode(), ll.llama_model_default_params())
    params = ll.llama_context_default_params()
    params.n_ctx, params.n_batch = capacity, max(options.prefill, CHUNK)
    params.n_threads = params.n_threads_batch = options.threads
    params.type_k = params.type_v = CACHE_TYPES[options.kv]
    params.flash_attn_type = 1  # a quantized V needs it
    params.n_seq_max, params.kv_unified = 2, True
    context = ll.llama_init_from_model(model, params)
    if not context:
        raise RuntimeError("llama.cpp: no context with these parameters")
    return context


@ll.llama_log_callback
def silent(level, text, data):
    pass


def make_batch(tokens, position):
    batch = ll.llama_batch_init(tokens, 0, 1)
    batch.n_tokens = tokens
    for i in range(tokens):
        batch.token[i], batch.pos[i] = (7919 * (position + i)) % 100000, position + i
        batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, i == tokens - 1
    return batch


def decode(context, batch):
    if ll.llama_decode(context, batch) != 0:
        raise RuntimeError("llama_decode failed")
    ll.llama_get_logits_ith(context, batch.n_tokens - 1)  # waits for the result


def fill(context, depth):
    """Puts `depth` entries of sequence 0 into the cache: CHUNK computed ones, then copies of them, which attention
    reads like any others. Returns the position of the next token."""
    if depth == 0:
        return 0
    count = min(depth, CHUNK)
    decode(context, make_batch(count, 0))
    memory, size = ll.llama_get_memory(context), ll.llama_state_seq_get_size(context, 0)
    state = (ctypes.c_uint8 * size)()
    ll.llama_state_seq_get_data(context, state, size, 0)
    for _ in range(depth // count - 1):
        if ll.llama_state_seq_set_data(context, state, size, 1) == 0:
            raise RuntimeError("llama.cpp: the cache is full")
        ll.llama_memory_seq_cp(memory, 1, 0, -1, -1)
        ll.llama_memory_seq_rm(memory, 1, -1, -1)
    return count


def time_prefill(context, options):
    memory, batch = ll.llama_get_memory(context), make_batch(options.prefill, 0)

    def one_pass():
        ll.llama_memory_clear(memory, False)
        decode(context, batch)

    return time_passes(one_pass, options.runs)


def time_decode(context, options):
    position = fill(context, options.depth)
    seconds = []
    for i in range(options.decode + 2):
        batch = make_batch(1, position + i)
        start = time.perf_counter()
        decode(context, batch)
        seconds.append(time.perf_counter() - start)
    return seconds[2:]


def main():
    options = arguments(__doc__)
    capacity = options.prefill or options.depth + options.decode + 2
    context = open_context(options, -(-capacity // CHUNK) * CHUNK)
    seconds = time_prefill(context, options) if options.prefill else time_decode(context, options)
    finish(seconds, version="llama-cpp-python " + ll.__version__)


if __name__ == "__main__":
    main()
