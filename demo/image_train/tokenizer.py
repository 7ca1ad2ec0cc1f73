"""Train the SentencePiece vocabulary on the prompts and write it as a new T5 tokenizer folder.

  python tokenizer.py run/tokenizer
"""
import io
import pathlib
import sys

import sentencepiece
from transformers import T5Tokenizer

import pictures
from dimensions import END, LENGTH, PAD, VOCABULARY


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True)
    texts = [text for name in pictures.emoji() for small in (False, True)
             for text in pictures.wordings(name, "white", small)]
    texts += [pictures.prompt("", background) for background in pictures.BACKGROUNDS] * 50
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=VOCABULARY,
        model_type="unigram", pad_id=PAD, eos_id=END, unk_id=2, bos_id=-1, character_coverage=1.0,
        required_chars="abcdefghijklmnopqrstuvwxyz0123456789-'.,!?&",
        num_threads=1, minloglevel=2)
    (folder / "spiece.model").write_bytes(model.getvalue())
    tokenizer = T5Tokenizer.from_pretrained(str(folder), extra_ids=0, model_max_length=512)
    tokenizer.save_pretrained(str(folder))
    (folder / "spiece.model").write_bytes(model.getvalue())
    lengths = [len(tokenizer(pictures.prompt(name, "yellow", True)).input_ids) + 1
               for name in pictures.emoji()]
    print(f"{len(tokenizer)} pieces, longest prompt {max(lengths)} of {LENGTH} tokens, "
          f"mean {sum(lengths) / len(lengths):.1f}")


if __name__ == "__main__":
    main()
