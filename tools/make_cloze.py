#!/usr/bin/env python3
"""Writes multiple-choice questions from a text that the model has not been trained on.

    python3 tools/make_cloze.py demo/llm/heldout.txt demo/llm/cloze.jsonl [--questions 200] [--seed 1]

A question is a paragraph cut in the middle of a sentence; the right choice is how the sentence goes on, the three wrong
ones are ends of other sentences of the text with about as many words. One JSON object a line: context, choices, answer.
"""
import argparse
import json
import random
import re
from pathlib import Path

MIN_CONTEXT, MAX_CONTEXT = 30, 90  # words
MIN_END, MAX_END = 4, 12


def sentences_of(paragraph):
    return re.split(r"(?<=[.!?]) +(?=[A-Z])", paragraph)


def cut(sentence, rng):
    """A sentence in two, the second part of MIN_END to MAX_END words; None when it is too short."""
    words = sentence.split()
    if len(words) < 2 * MIN_END or not sentence.endswith("."):
        return None
    size = rng.randint(MIN_END, min(MAX_END, len(words) // 2))
    return " ".join(words[:-size]), " ".join(words[-size:])


def candidates(text, rng):
    """(context, end) of one sentence of every paragraph that is long enough."""
    for paragraph in text.split("\n"):
        sentences = sentences_of(" ".join(paragraph.split()))
        for index in range(len(sentences) - 1, 0, -1):
            before = " ".join(sentences[:index]).split()[-MAX_CONTEXT:]
            parts = cut(sentences[index], rng)
            if parts and len(before) + len(parts[0].split()) >= MIN_CONTEXT:
                yield " ".join(before) + " " + parts[0], parts[1]
                break


def questions(found, count, rng):
    for context, end in rng.sample(found, min(count, len(found))):
        length = len(end.split())
        others = [e for _, e in found if e != end and abs(len(e.split()) - length) <= 1]
        if len(others) < 3:
            continue
        choices = [end, *rng.sample(others, 3)]
        rng.shuffle(choices)
        yield {"context": context, "choices": choices, "answer": choices.index(end)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    found = list(candidates(options.text.read_text(), rng))
    lines = [json.dumps(q, ensure_ascii=False) for q in questions(found, options.questions, rng)]
    options.out.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} questions of {len(found)} paragraphs")


if __name__ == "__main__":
    main()
