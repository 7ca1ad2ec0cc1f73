#!/usr/bin/env python3
"""Calls a running `stamp serve` through the official openai client. Usage: openai_client.py URL MODEL

The server has a chat template and at least 64 tokens per request. Prints what was checked; exits with 1 at the first
difference.
"""
import base64
import concurrent.futures
import sys

import openai


def same(what, got, want):
    if got != want:
        sys.exit(f"{what}: expected {want!r}, got {got!r}")
    print(f"ok: {what}")


def refused(what, kind, call):
    try:
        call()
    except kind as error:
        print(f"ok: {what} ({error.status_code}, {error.code})")
        return
    sys.exit(f"{what}: expected {kind.__name__}, got an answer")


def check_completions(client, model):
    arguments = dict(model=model, prompt="The kernel", max_tokens=24, temperature=1, seed=3)
    whole = client.completions.create(**arguments)
    choice = whole.choices[0]
    same("tokens of a completion", whole.usage.completion_tokens <= 24, True)
    same("the same seed", client.completions.create(**arguments).choices[0].text, choice.text)
    stream = client.completions.create(**arguments, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    same("streamed text", "".join(c.choices[0].text for c in chunks if c.choices), choice.text)
    same("usage of a stream", chunks[-1].usage.total_tokens, whole.usage.total_tokens)
    stop = choice.text[8:11]
    stopped = client.completions.create(**arguments, stop=[stop]).choices[0]
    same("stop string", (stopped.text, stopped.finish_reason), (choice.text[: choice.text.find(stop)], "stop"))
    likely = client.completions.create(**arguments, logprobs=3).choices[0].logprobs
    same("probabilities", len(likely.token_logprobs), len(likely.top_logprobs))
    same("two choices", len(client.completions.create(**arguments, n=2).choices), 2)


def check_chat(client, model):
    arguments = dict(model=model, messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
                     max_completion_tokens=16, temperature=0)
    whole = client.chat.completions.create(**arguments)
    same("role", whole.choices[0].message.role, "assistant")
    chunks = list(client.chat.completions.create(**arguments, stream=True))
    same("streamed answer", "".join(c.choices[0].delta.content or "" for c in chunks), whole.choices[0].message.content)
    same("reason", chunks[-1].choices[0].finish_reason, whole.choices[0].finish_reason)
    likely = client.chat.completions.create(**arguments, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    same("likeliest tokens", all(len(token.top_logprobs) == 2 for token in likely), True)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: client.chat.completions.create(**arguments).choices[0].message.content, range(8)))
    same("eight at once", set(texts), {whole.choices[0].message.content})


def check_errors(client, model):
    create = client.completions.create
    refused("unknown model", openai.NotFoundError, lambda: create(model="other", prompt="a"))
    refused("temperature of 5", openai.BadRequestError, lambda: create(model=model, prompt="a", temperature=5))
    refused("long prompt", openai.BadRequestError, lambda: create(model=model, prompt="word " * 20000))
    refused("tools", openai.BadRequestError, lambda: client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "a"}],
        tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}]))


def check_images(client):
    picture = client.images.generate(prompt="a red ball", size="16x24", extra_body={"steps": 2, "seed": 1})
    same("picture", base64.b64decode(picture.data[0].b64_json)[:4], b"\x89PNG")


def main():
    url, model = sys.argv[1:]
    client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
    names = [card.id for card in client.models.list()]
    same("models", model in names, True)
    check_completions(client, model)
    check_chat(client, model)
    check_errors(client, model)
    if len(names) > 1:
        check_images(client)


if __name__ == "__main__":
    main()
