"""Models of this library in lm-evaluation-harness, under the name "stamp".

>>> import stamp_quant.lm_eval
>>> from lm_eval.api.registry import get_model
>>> stamp = get_model("stamp")(pretrained=model, recipe="w4a8kv4-stamp")
>>> stamp.model.recipe["name"]
'w4a8kv4-stamp'

`lm_eval.simple_evaluate` takes "stamp" and `model_args`; with the harness's own flags it is
`python -m stamp_quant.lm_eval --model stamp --model_args pretrained=DIR,recipe=R --tasks arc_easy`. Needs the package lm-eval. `model_args`: `pretrained` (a directory), `max_length` (tokens; the
model's own by default), `max_gen_toks` (256) and what stamp_quant.load() takes.
"""

import numpy as np
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from . import load


def log_probabilities(logits):
    """Of every row, in fp64: an fp32 sum over the vocabulary is off by 1e-5 and more."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@register_model("stamp")
class StampLM(TemplateLM):
    """One model under one recipe; every request is computed alone, with L over all of its tokens."""

    def __init__(self, pretrained, max_length=None, max_gen_toks=256, batch_size=1, device=None, **options):
        super().__init__()
        self.model = load(pretrained, **options)
        own = self.model.config["max_positions"]
        self.max_length = int(max_length or own)
        if not 2 <= self.max_length <= own:
            raise ValueError(f"lm_eval: expected a max_length from 2 to {own}, got {self.max_length}")
        self.max_gen_toks = int(max_gen_toks)

    @property
    def eot_token_id(self):
        return self.model.config["eos_token_ids"][0]

    @property
    def prefix_token_id(self):
        """What stands before texts without context: BOS where the model has one."""
        return self.model.config.get("bos_token_id", self.eot_token_id)

    def tok_encode(self, string, add_special_tokens=None, **_):
        return self.model.encode(string, add_special=add_special_tokens is not False)

    def _loglikelihood_tokens(self, requests, disable_tqdm=False, **_):
        results = []
        for _, context, continuation in tqdm(requests, "loglikelihood", disable=disable_tqdm):
            ids = (context + continuation)[-(self.max_length + 1):]
            wanted = continuation[-min(len(continuation), len(ids) - 1):]
            rows = self.model.logits(ids[:-1])[-len(wanted):]
            chosen = log_probabilities(rows)[np.arange(len(wanted)), wanted]
            results.append((float(chosen.sum()), bool((rows.argmax(axis=1) == wanted).all())))
        return results

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        results = []
        for request in requests:
            windows = [("", *make_disjoint_window(window)) for window in get_rolling_token_windows(
                self.tok_encode(request.args[0], add_special_tokens=False), self.prefix_token_id,
                self.max_length, 1)]
            results.append(sum(value for value, _ in self._loglikelihood_tokens(windows, disable_tqdm)))
        return results

    def generate_until(self, requests, disable_tqdm=False):
        return [self._generate(*request.args) for request in tqdm(requests, "generate", disable=disable_tqdm)]

    def _generate(self, context, settings):
        until = settings.get("until") or []
        until = [until] if isinstance(until, str) else until
        count = min(int(settings.get("max_gen_toks", self.max_gen_toks)), self.max_length - 1)
        sampled = bool(settings.get("do_sample", False))
        temperature = float(settings.get("temperature", 1.0)) if sampled else 0.0
        ids = self.tok_encode(context)[-(self.max_length - count):]
        generated, text = [], ""
        for token in self.model.generate(ids, stream=True, max_new_tokens=count, temperature=temperature):
            generated.append(token)
            text = self.model.decode(generated, skip_special=True)
            ends = [text.find(stop) for stop in until if stop in text]
            if ends:
                return text[:min(ends)]
        return text


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
