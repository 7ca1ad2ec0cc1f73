"""Encode train.txt and heldout.txt as 16-bit token files; train the tokenizer if there is none.

  python tokenize_corpus.py txt ../llm/tokenizer.json      -> train.bin, heldout.bin

The tokenizer is a byte-level BPE of 8192 entries with the pre-tokenizer of Llama 3. A document is
followed by <|end_of_text|>; <|begin_of_text|> is put in front of every training window later.
"""
import argparse
import pathlib

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BEGIN, END, END_ID = "<|begin_of_text|>", "<|end_of_text|>", 1
ENTRIES, TRAINED_ON_EVERY, AT_ONCE = 8192, 4, 256
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def documents(path):
    return path.read_text(encoding="utf8").split("\n\n\0")


def train_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE(ignore_merges=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), "isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=ENTRIES, special_tokens=[BEGIN, END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN} $B", special_tokens=[(BEGIN, 0)])
    return tokenizer


def encode(tokenizer, texts):
    ids = []
    for i in range(0, len(texts), AT_ONCE):
        for encoding in tokenizer.encode_batch(texts[i:i + AT_ONCE], add_special_tokens=False):
            ids += encoding.ids + [END_ID]
    return np.array(ids, dtype=np.uint16)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", type=pathlib.Path, help="folder of train.txt and heldout.txt")
    parser.add_argument("tokenizer", type=pathlib.Path, help="tokenizer.json; written if missing")
    args = parser.parse_args()
    if args.tokenizer.exists():
        tokenizer = Tokenizer.from_file(str(args.tokenizer))
    else:
        tokenizer = train_tokenizer(documents(args.text / "train.txt")[::TRAINED_ON_EVERY])
        tokenizer.save(str(args.tokenizer))
    for side in ("train", "heldout"):
        ids = encode(tokenizer, documents(args.text / f"{side}.txt"))
        ids.tofile(f"{side}.bin")
        print(f"{side}: {len(ids)} tokens")


if __name__ == "__main__":
    main()
