"""The pictures and their prompts: Noto colour emoji on coloured backgrounds.

  python pictures.py sheet.png     draws one small picture of every name
"""
import functools
import hashlib
import re
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
NAMES = "/usr/share/unicode/emoji/emoji-test.txt"
SIDE, STRIKE = 128, 109  # pixels of a picture; the only size of the font's bitmaps (136 x 128)
LARGE, SMALL = 112, 64   # heights of the drawn emoji
SUBGROUPS = """
    face-smiling face-affection face-hat face-glasses face-costume cat-face monkey-face heart
    animal-mammal animal-bird animal-amphibian animal-reptile animal-marine animal-bug
    plant-flower plant-other food-fruit food-vegetable food-prepared food-marine food-sweet drink
    transport-ground transport-water transport-air sky&weather event award-medal sport game
    musical-instrument""".split()
BACKGROUNDS = {
    "white": (255, 255, 255), "black": (24, 24, 28), "gray": (150, 150, 155),
    "red": (226, 72, 72), "orange": (246, 158, 66), "yellow": (250, 222, 96),
    "green": (94, 184, 98), "blue": (84, 142, 230), "purple": (150, 100, 200),
    "pink": (250, 170, 200)}


@functools.cache
def emoji():
    """{name: characters} of the chosen subgroups, without skin tones and sequences of people."""
    result, chosen = {}, False
    for line in open(NAMES, encoding="utf-8"):
        if line.startswith("# subgroup:"):
            chosen = line.split(":")[1].replace(" ", "").strip() in SUBGROUPS
        found = re.match(r"([0-9A-F ]+?)\s*; fully-qualified\s+# \S+ E[\d.]+ (.*)", line)
        if found and chosen and "skin tone" not in found[2]:
            name = found[2].lower().replace("’", "'").replace("ñ", "n")
            result[name] = "".join(chr(int(code, 16)) for code in found[1].split())
    return result


@functools.cache
def bitmap(name):
    """136 x 128 RGBA."""
    font = ImageFont.truetype(FONT, STRIKE)
    picture = Image.new("RGBA", (136, 128))
    box = font.getbbox(emoji()[name])
    ImageDraw.Draw(picture).text((-box[0], -box[1]), emoji()[name], font=font, embedded_color=True)
    return picture


def draw(name, colour, height=LARGE, shift=(0, 0)):
    """uint8 [SIDE, SIDE, 3]; `colour` is RGB, `shift` moves right and down by pixels."""
    picture = Image.new("RGBA", (SIDE, SIDE), tuple(colour) + (255,))
    width = round(136 * height / 128)
    drawn = bitmap(name).resize((width, height), Image.Resampling.LANCZOS)
    corner = ((SIDE - width) // 2 + shift[0], (SIDE - height) // 2 + shift[1])
    layer = Image.new("RGBA", (SIDE, SIDE))
    layer.paste(drawn, corner)
    return np.asarray(Image.alpha_composite(picture, layer).convert("RGB"))


def is_heldout(name, background):
    """Combinations never trained on: a sixteenth of those with a background other than white."""
    digest = hashlib.md5(f"{name}|{background}".encode()).digest()
    return background != "white" and digest[0] % 16 == 0


def article(text):
    return "an" if text[0] in "aeiou" else "a"


def prompt(name, background, small=False):
    """The plain prompt of a variant; white and large go without saying."""
    text = ("small " if small else "") + name
    if background == "white":
        return text
    return f"{text} on {article(background)} {background} background"


def wordings(name, background, small=False):
    """All prompts of a variant."""
    text = prompt(name, background, small)
    result = [text, f"{article(text)} {text}"]
    if background == "white":
        result.append(f"{text} on a white background")
    return result


def main():
    names, columns = list(emoji()), 40
    rows = -(-len(names) // columns)
    sheet = Image.new("RGB", (columns * 32, rows * 32))
    for i, name in enumerate(names):
        picture = Image.fromarray(draw(name, BACKGROUNDS["white"])).resize((32, 32))
        sheet.paste(picture, (i % columns * 32, i // columns * 32))
    sheet.save(sys.argv[1])
    print(f"{len(names)} names")


if __name__ == "__main__":
    main()
