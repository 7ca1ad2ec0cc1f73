"""Models: what they compute, errors, Ctrl-C, threads, progress."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import stamp_quant


@pytest.fixture(scope="module")
def model(root):
    return stamp_quant.load(root / "demo/llm", recipe="w4a8kv4-stamp")


def test_logits_predict_what_generate_takes(model):
    ids = model.encode("The kernel")
    assert np.asarray(model.logits(ids)).dtype == np.float32
    follow = model.generate(ids, max_new_tokens=4, temperature=0.0)
    for i, token in enumerate(follow):
        assert model.logits(ids + follow[:i])[-1].argmax() == token
    assert model.logits(np.array(ids, np.int64)).shape == (len(ids), model.config["vocab_size"])


def test_stream_gives_the_same_ids(model):
    ids = model.encode("In the beginning")
    for options in ({"temperature": 0.0}, {"temperature": 0.8, "top_k": 20, "seed": 7}):
        whole = model.generate(ids, max_new_tokens=80, **options)
        assert list(model.generate(ids, stream=True, max_new_tokens=80, **options)) == whole


@pytest.fixture(scope="module")
def plain(root):
    """Without L, whose result depends on which tokens are computed together."""
    return stamp_quant.load(root / "demo/llm")


def test_logprobs(plain):
    model = plain
    ids = model.encode("The kernel")
    options = {"max_new_tokens": 5, "temperature": 0.0, "repetition_penalty": 1.5}
    answer = model.generate(ids, logprobs=4, **options)
    assert answer["ids"] == model.generate(ids, **options)
    assert answer["text"] == model.decode(answer["ids"], skip_special=True)
    for i, token in enumerate(answer["logprobs"]):
        logits = model.logits(ids + answer["ids"][:i])[-1].astype(np.float64)
        want = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        assert token["id"] == answer["ids"][i]
        assert bytes(token["bytes"]).decode() == token["token"] == model.decode([token["id"]])
        assert abs(token["logprob"] - want[token["id"]]) < 1e-4
        best = [entry["id"] for entry in token["top_logprobs"]]
        assert best == list(np.argsort(-want, kind="stable")[:4])
        np.testing.assert_allclose([entry["logprob"] for entry in token["top_logprobs"]], want[best], atol=1e-4)
    assert list(model.generate("The kernel", logprobs=4, stream=True, **options)) == answer["logprobs"]
    assert "logprobs" in model.generate("The kernel", logprobs=0, max_new_tokens=1)


def test_logprobs_of_a_text(model):
    """One pass gives both."""
    ids = model.encode("The kernel of the matter")
    scores = model.logprobs(ids)
    logits = model.logits(ids).astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    want = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert scores.shape == (len(ids) - 1,) and scores.dtype == np.float32
    np.testing.assert_allclose(scores, want[np.arange(len(ids) - 1), ids[1:]], atol=1e-5)
    with pytest.raises(ValueError, match="two ids"):
        model.logprobs(ids[:1])
    with pytest.raises(ValueError, match="logprobs|id"):
        model.logprobs([1, 10**8])


def test_caches_of_prompts(model, tmp_path):
    file = tmp_path / "prompt.cache"
    options = {"max_new_tokens": 6, "temperature": 0.0}
    text = model.generate("In the beginning", save_cache=file, **options)
    assert model.generate("In the beginning", **options) == text
    assert model.generate("In the beginning", load_cache=file, **options) == text
    assert model.generate("", load_cache=str(file), **options) == text
    assert "".join(model.generate("", load_cache=file, stream=True, **options)) == text
    ids = model.encode("In the beginning")
    assert model.generate(ids, load_cache=file, **options) == model.generate([], load_cache=file, **options)
    assert sorted(tmp_path.iterdir()) == [file]
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(RuntimeError, match="prompt.cache"):
        model.generate("", load_cache=file)
    with pytest.raises(RuntimeError, match="none"):
        model.generate("In the beginning", save_cache=tmp_path / "none" / "x")


def test_stop_id_ends_a_stream(model):
    ids = model.encode("The kernel")
    first = model.generate(ids, max_new_tokens=1, temperature=0.0)[0]
    assert list(model.generate(ids, stream=True, temperature=0.0, stop_id=[first])) == [first]


def test_chat(model, root):
    template = root / "tests/data/chat/plain.jinja"
    chat = model.chat(chat_template=template, max_new_tokens=4, temperature=0.0)
    pieces = []
    answer = chat.ask("Hello", on_text=pieces.append)
    assert "".join(pieces) == answer["text"] and answer["kept"] == 0
    assert chat.ask("And then?")["kept"] > 0
    with pytest.raises(RuntimeError, match="chat_template"):
        model.chat()


def test_evaluate_agrees_with_the_method(model, text):
    options = {"text": text, "context": 128, "windows": 1}
    result = model.evaluate(**options)
    other = stamp_quant.evaluate(text.parent, recipe="w4a8kv4-stamp", **options)
    assert result["all_tokens"] == other["all_tokens"]
    assert "perplexity" in str(result)


def test_stored_model_runs(model_dir, text, tmp_path):
    stamp_quant.quantize(model_dir, recipe="w4a8kv4-stamp", out=tmp_path / "w4")
    stored, plain = stamp_quant.load(tmp_path / "w4"), stamp_quant.load(model_dir, recipe="w4a8kv4-stamp")
    ids = stored.encode("The kernel")
    assert stored.recipe["name"] == "w4a8kv4-stamp"
    np.testing.assert_array_equal(stored.logits(ids), plain.logits(ids))
    assert stamp_quant.info(tmp_path / "w4")["parts"][0]["parameters"] >= 15_000_000


def test_errors_carry_the_library_messages(model, model_dir, text, tmp_path):
    with pytest.raises(ValueError, match="w9a9"):
        stamp_quant.evaluate(model_dir, text=text, recipe="w9a9")
    with pytest.raises(RuntimeError, match="config.json"):
        stamp_quant.load(tmp_path)
    with pytest.raises(TypeError, match="unknown option 'contxt'"):
        stamp_quant.evaluate(model_dir, text=text, contxt=256)
    with pytest.raises(TypeError, match="context"):
        stamp_quant.evaluate(model_dir, text=text, context="many")
    with pytest.raises(ValueError, match="integer, simulated"):
        stamp_quant.load(model_dir, execution="exact")
    with pytest.raises(ValueError, match="ids"):
        model.logits([10**9])
    with pytest.raises(ValueError, match="prompt is empty"):
        model.generate([])
    with pytest.raises(ValueError, match="positions"):
        model.generate([1] * (model.config["max_positions"] + 1))


def test_ctrl_c_ends_long_work(model_dir, text):
    timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        for _ in range(1000):
            stamp_quant.sensitivity(model_dir, text=text, context=256)
    timer.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    stamp_quant.evaluate(model_dir, text=text, context=64, windows=1)  # the next call is not interrupted


def interrupt_while(work, after=0.4):
    """Calls work(0), work(1), ... until Ctrl-C; returns how many were begun."""
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begun = 0
    try:
        while begun < 10000:
            begun += 1
            work(begun - 1)
    except KeyboardInterrupt:
        return begun
    finally:
        timer.join()
    raise AssertionError("Ctrl-C was lost")


def test_ctrl_c_leaves_no_half_directory(model_dir, text, tmp_path):
    """What is interrupted has no name yet; OUT.partial is what the next run goes on with."""
    count = interrupt_while(lambda i: stamp_quant.quantize(model_dir, recipe="w4a8kv4-stamp", out=tmp_path / f"{i}"))
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {*map(str, range(count)), f"{count - 1}.partial"}
    for path in tmp_path.iterdir():
        if not path.name.endswith(".partial"):
            assert stamp_quant.load(path).logits([1, 2, 3]).shape[0] == 3
    last = tmp_path / f"{count - 1}"
    if not last.exists():
        stamp_quant.quantize(model_dir, recipe="w4a8kv4-stamp", out=last)
    assert stamp_quant.load(last).recipe["name"] == "w4a8kv4-stamp"
    assert not list(tmp_path.glob("*.partial"))


def test_ctrl_c_leaves_no_half_file(model, tmp_path):
    prompt = list(range(3, 900))

    def save(i):
        return model.generate(prompt, save_cache=tmp_path / f"{i}.cache", max_new_tokens=0)

    count = interrupt_while(save)
    assert {path.name for path in tmp_path.iterdir()} <= {f"{i}.cache" for i in range(count)}
    for path in tmp_path.iterdir():
        assert len(model.generate([], load_cache=path, max_new_tokens=1, temperature=0.0)) == 1


def test_ctrl_c_drops_what_was_measured(model, model_dir, text, tmp_path):
    results = []
    for work in (
        lambda i: results.append(stamp_quant.compare(model_dir, text=text, bits="w4a4kv4", windows=8)),
        lambda i: results.append(model.generate("The kernel", max_new_tokens=1500, stop_id=[])),
        lambda i: results.append(model.logits(list(range(3, 900)))),
        lambda i: results.extend(model.generate("The kernel", stream=True, max_new_tokens=1500, stop_id=[])),
    ):
        results.clear()
        begun = interrupt_while(work)
        assert len(results) < begun or not isinstance(results[0], (dict, np.ndarray))
        assert all(not isinstance(result, dict) or not result.get("partial") for result in results)
        assert len(model.generate("The", max_new_tokens=2, temperature=0.0)) > 0  # the next call is not interrupted


def test_other_threads_run_meanwhile(model_dir, text):
    steps, stop = [], threading.Event()

    def count():
        while not stop.is_set():
            steps.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    begin = time.monotonic()
    stamp_quant.evaluate(model_dir, text=text, context=256, windows=2)
    end = time.monotonic()
    stop.set()
    thread.join()
    assert sum(begin < step < end for step in steps) > 5


def test_models_serve_several_threads(model):
    ids = model.encode("The kernel of the matter")
    want, got = model.logits(ids), [None] * 4

    def run(i):
        got[i] = model.logits(ids)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for logits in got:
        np.testing.assert_array_equal(logits, want)


def test_progress_goes_to_a_function(model_dir, text):
    seen = []
    stamp_quant._native._set_progress(lambda *state: seen.append(state))
    stamp_quant.evaluate(model_dir, text=text, context=128, windows=2)
    stamp_quant._native._set_progress(None)
    work, label, unit, done, total, last = seen[-1]
    assert (label, unit, last) == ("eval", "tokens", True) and done == total > 0
