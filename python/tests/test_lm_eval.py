"""The adapter for lm-evaluation-harness; needs that package."""

import json

import numpy as np
import pytest

import stamp_quant

harness = pytest.importorskip("lm_eval", reason="the package lm-eval is not installed")
from stamp_quant.lm_eval import StampLM  # noqa: E402


class Request:
    def __init__(self, *args):
        self.args = args


@pytest.fixture(scope="module")
def adapter(root):
    return StampLM(root / "demo/llm", recipe="w4a8kv4-stamp", max_length=256)


def test_rolling_sums_every_token_once(adapter, text):
    passage = text.read_text()[:600]
    ids = adapter.tok_encode(passage, add_special_tokens=False)
    assert len(ids) < 256
    rows = adapter.model.logits([adapter.prefix_token_id] + ids[:-1]).astype(np.float64)
    rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True))
    value, = adapter.loglikelihood_rolling([Request(passage)], disable_tqdm=True)
    assert value == pytest.approx(rows[np.arange(len(ids)), ids].sum(), rel=1e-6)


def test_rolling_covers_what_is_longer_than_a_window(adapter, text):
    passage = text.read_text()[:4000]
    parts = [adapter.tok_encode(passage, add_special_tokens=False)]
    assert len(parts[0]) > 256
    value, = adapter.loglikelihood_rolling([Request(passage)], disable_tqdm=True)
    assert -9 * len(parts[0]) < value < -2 * len(parts[0])


def test_likelihood_is_that_of_the_continuation(adapter):
    (kernel, greedy), (other, _) = adapter.loglikelihood(
        [Request("The Linux", " kernel"), Request("The Linux", " banana")], disable_tqdm=True)
    assert kernel > other and isinstance(greedy, bool)


def test_generation_ends_at_a_stop_string(adapter):
    whole, = adapter.generate_until([Request("The kernel", {"until": [], "max_gen_toks": 24})], disable_tqdm=True)
    stop = whole[len(whole) // 2:len(whole) // 2 + 3]
    cut, = adapter.generate_until([Request("The kernel", {"until": [stop], "max_gen_toks": 24})], disable_tqdm=True)
    assert whole.startswith(cut) and stop not in cut


def test_a_task_of_the_harness(root, tmp_path):
    lines = [{"text": "The Linux", "choices": [" kernel", " banana"], "answer": 0}] * 3
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = {"task": "kernel", "dataset_path": "json", "output_type": "multiple_choice", "test_split": "test",
            "dataset_kwargs": {"data_files": {"test": str(tmp_path / "data.jsonl")}}, "doc_to_text": "text",
            "doc_to_choice": "choices", "doc_to_target": "answer", "target_delimiter": "",
            "metric_list": [{"metric": "acc"}]}
    result = harness.simple_evaluate("stamp", model_args=f"pretrained={root / 'demo/llm'},recipe=w4a8kv4-stamp",
                                     tasks=[task], bootstrap_iters=0)
    assert result["results"]["kernel"]["acc,none"] == 1.0


def test_refuses_an_absurd_length(root):
    with pytest.raises(ValueError, match="max_length"):
        StampLM(root / "demo/llm", max_length=1 << 20)
