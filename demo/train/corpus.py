"""Turn Debian documentation packages into plain English text.

  apt-get download anarchism apache2-doc ...        (the list is in README.md)
  for f in *.deb; do dpkg-deb -x "$f" "deb/x_${f%%_*}"; done
  python corpus.py deb txt

writes txt/train.txt and txt/heldout.txt. Documents are separated by "\\n\\n\\0", paragraphs by
"\\n". A document is held out when the MD5 of "deb/" and its path below the root is 0 modulo 50,
so its side depends on nothing but its name. A paragraph is kept once in the whole corpus.
"""
import argparse
import collections
import gzip
import hashlib
import pathlib
import random
import re
from html.parser import HTMLParser

PARAGRAPH_TAGS = {"p", "li", "dd", "h1", "h2", "h3", "blockquote"}
IGNORED_TAGS = {"script", "style", "pre", "table", "nav"}
LANGUAGE = r"(de|fr|es|ja|tr|ko|pt|ru|zh|da|it|nl|cs|ca|hu|fi|zh_CN|pt_BR)"
OTHER_LANGUAGE_FILE = re.compile(rf"\.{LANGUAGE}(\.|-)|[_-]{LANGUAGE}\.html|\.{LANGUAGE}\.html")
OTHER_LANGUAGE_FOLDER = re.compile(
    r"/(ar|es|fr|de|ja|it|el|id|ko|nb|pl|ro|sv|tr|vi|da|nl|cs|fa|hr)-|/pt|/ru-|/zh|/translations/")
POD_MARKUP = re.compile(r"[A-Z]<+([^<>]*)>+")
SHORTEST_DOCUMENT, HELD_OUT_SHARE = 400, 50


class ParagraphReader(HTMLParser):
    """Collects the text of paragraph-like elements outside of code, tables and navigation."""

    def __init__(self):
        super().__init__()
        self.paragraphs, self.pieces, self.ignored = [], None, 0

    def handle_starttag(self, tag, attrs):
        self.ignored += tag in IGNORED_TAGS
        if tag in PARAGRAPH_TAGS and not self.ignored:
            self.finish()
            self.pieces = []

    def handle_endtag(self, tag):
        if tag in IGNORED_TAGS:
            self.ignored = max(0, self.ignored - 1)
        if tag in PARAGRAPH_TAGS or tag == "div":
            self.finish()

    def handle_data(self, data):
        if self.pieces is not None and not self.ignored:
            self.pieces.append(data)

    def finish(self):
        if self.pieces is not None:
            text = one_line("".join(self.pieces)).replace("¶", "")
            if len(text) > 30:
                self.paragraphs.append(text)
        self.pieces = None


def one_line(text):
    return re.sub(r"\s+", " ", text).strip()


def html_paragraphs(text):
    reader = ParagraphReader()
    reader.feed(text)
    reader.finish()
    return reader.paragraphs


def pod_paragraphs(text):
    blocks = (b for b in text.split("\n\n") if len(b) > 30 and b[0] not in " \t=")
    return [one_line(POD_MARKUP.sub(r"\1", b)) for b in blocks]


def plain_paragraphs(text):
    return [one_line(b) for b in text.split("\n\n") if len(b) > 60]


FORMATS = ((re.compile(r"\.(html|html\.gz|page|html\.en|htm)$"), html_paragraphs),
           (re.compile(r"\.pod$"), pod_paragraphs),
           (re.compile(r"\.(txt|txt\.gz|adoc)$"), plain_paragraphs))


def paragraphs_of(path):
    for pattern, split in FORMATS:
        if pattern.search(path.name):
            data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
            return split(data.decode("utf8", "ignore"))
    return []


def is_prose(text):
    letters = sum(c.isalpha() or c == " " for c in text)
    ascii_only = sum(c.isascii() for c in text)
    return bool(text) and letters >= 0.82 * len(text) and ascii_only >= 0.97 * len(text)


def is_wanted(path):
    folder = str(path.parent)
    if OTHER_LANGUAGE_FOLDER.search(folder) or OTHER_LANGUAGE_FILE.search(path.name):
        return False
    if "gnome-user" in folder and "/C/" not in folder + "/":
        return False
    return path.is_file() and not path.is_symlink()


def documents(root):
    """(path below the root, text) of every document, in the order of the paths."""
    seen = set()
    for path in sorted(root.rglob("*")):
        if not is_wanted(path):
            continue
        kept = []
        for text in paragraphs_of(path):
            if text not in seen and is_prose(text):
                seen.add(text)
                kept.append(text)
        if sum(map(len, kept)) > SHORTEST_DOCUMENT:
            yield path.relative_to(root).as_posix(), "\n".join(kept)


def is_held_out(name):
    return int(hashlib.md5(f"deb/{name}".encode()).hexdigest(), 16) % HELD_OUT_SHARE == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=pathlib.Path, help="folder of unpacked packages")
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    found, sizes = list(documents(args.root)), collections.Counter()
    for name, text in found:
        sizes[name.split("/")[0]] += len(text)
    for package, size in sizes.most_common():
        print(f"{size:10d} {package}")
    random.Random(0).shuffle(found)
    args.out.mkdir(parents=True, exist_ok=True)
    for side, wanted in (("train", False), ("heldout", True)):
        texts = [text for name, text in found if is_held_out(name) == wanted]
        path = args.out / f"{side}.txt"
        path.write_text("\n\n\0".join(texts), encoding="utf8", newline="")
        print(f"{side}: {len(texts)} documents, {sum(map(len, texts))} characters")


if __name__ == "__main__":
    main()
