"""Our tokens are those of the tokenizer that the trainer uses, and end where its captions end."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import ftfy
import pytest

from kohya_presets.dataset import tokens, weights
from kohya_presets.dataset.tokens import Tokenizer
from tests.kohya_presets.dataset.odd_captions import CAPTIONS
from tests.upstream import asking
from wrapper.checkouts.checkout import Checkout

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),
    pytest.mark.trainer,
    pytest.mark.every_release,
]
SCRIPTS = {
    "latin": "abcdefghijklmnopqrstuvwxyzäöüßéèçñøåœæłžşğ",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїґ",
    "greek": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώ",
    "han": "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下",
    "kana": "あいうえおかきくけこさしすせそたちつてとなにはひふへほアイウエオカキクケコーソ",
    "hangul": "가나다라마바사아자차카타파하고노도로모보소오조초코토포호의은는이",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأؤإئ",
    "devanagari": "अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसहािीुूेैोौं्",
    "thai": "กขคงจฉชซญดตถทนบปผฝพฟภมยรลวศษสหอฮะาิีึืุูเแโใไ่้",
    "emoji": "😀😂🌊🔥❤️👩🏽‍🦱👨‍👩‍👧‍👦🏳️‍🌈✨🎨📷½²①ⅧⒶ㍿",
}
SIGNS = (
    *(", ", ". ", " ", "  ", "\t", " - ", "'s ", "'ll ", "!!! ", " (", ") ", ":1.2) ", "_", "/"),
    *("...", "\u00a0", "\u3000", "\u200b", " & ", "&amp; ", "&#39;", "<b>", "0", "42", "3.14"),
    *("\\(", "\\)", "[", "] ", "{red|blue}", "\u201c", "\u2014", "|", "@", "#", "~", "\u0301"),
)
WORDS = ("masterpiece", "best quality", "korra", "1girl", "long_hair", "photograph", "Waterbender")
# These releases pin ftfy 6.1.1, which mends two of these captions in another way than 6.3.1. With
# the same ftfy all are equal.
OF_OLDER_FTFY = {"v0.8.7": 2, "v0.9.1": 2}
# Start and end as they are, and those that cleaning makes: they are tokens all the same.
ENDS = (
    *("<|endoftext|>", "<|startoftext|>", "<|ENDOFTEXT|>", "&lt;|endoftext|&gt;"),
    *("\uff1c|endoftext|\uff1e", "<|endoftext |>", "a<|EndOfText|>b", "</w>", "!!!", "!\u00d7!"),
)
# Decoded with another encoding than written in: ftfy 6.1 and 6.3 repair some differently.
MOJIBAKE = (
    *("caf\u00c3\u00a9 \u2013 \u201cx\u201d", "RUF MICH ZUR\u00c3\u0153CK"),
    *(
        word.encode("utf-8").decode("cp1251", "ignore")
        for word in ("M\u043b\u043b h\u00e7", "na\u00efve")
    ),
    "\u043f\u0440\u0438\u0432\u0435\u0442 \u00e5".encode().decode("cp1252", "ignore"),
    "\u00e5\u00e6 " + "\u043f\u0440\u0438\u0432\u0435\u0442".encode().decode("cp1252", "ignore"),
)
ASKED = """
import ftfy, transformers

with open(sys.argv[1], encoding="utf-8") as file:
    asked = json.load(file)
first, second = (transformers.CLIPTokenizer(sys.argv[2], sys.argv[3]) for _ in range(2))
second.pad_token_id = 0  # as sd-scripts has it for text encoder 2
tell([[ftfy.fix_text(text), *(t(text).input_ids[1:-1] for t in (first, second))]
      for text in asked])
"""


def captions(count: int) -> list[str]:
    """Return captions in ten scripts, of words as people write them and of words that are none."""
    rng = random.Random(17)

    def word() -> str:
        if rng.random() < 0.3:
            return rng.choice(WORDS)
        letters = rng.choice([*SCRIPTS.values(), SCRIPTS["latin"], SCRIPTS["latin"]])
        made = "".join(rng.choices(letters, k=rng.randint(1, 11)))
        return made.upper() if rng.random() < 0.1 else made.title() if rng.random() < 0.2 else made

    def text() -> str:
        return "".join(word() + rng.choice(SIGNS) for _ in range(rng.randint(1, 30)))

    odd = [data.decode("utf-8") for data in CAPTIONS.values() if _is_text(data)]
    return [*odd, *(text() for _ in range(count))]


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@pytest.fixture
def files(tokenizer: Tokenizer, tmp_path: Path) -> tuple[Path, Path]:
    """Write the vocabulary as transformers reads it."""
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    vocab.write_text(json.dumps(tokenizer.numbers), "utf-8")
    lines = "".join(f"{first} {second}\n" for first, second in tokenizer.merges)
    merges.write_text(f"#version: 0.2\n{lines}", "utf-8")
    return vocab, merges


@pytest.mark.parametrize("release", ["v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1"])
def test_tokens_are_those_of_the_trainers_tokenizer(
    release: str,
    tokenizer: Tokenizer,
    files: tuple[Path, Path],
    upstream: Callable[[str], Checkout],
    tmp_path: Path,
) -> None:
    texts = [*captions(5000), *ENDS, *MOJIBAKE]
    asked = tmp_path / "asked.json"
    asked.write_text(json.dumps(texts), "utf-8")
    told = asking.ask(upstream(release), ASKED, str(asked), *map(str, files))
    assert [first for _, first, _ in told] == [second for *_, second in told]
    others = {t for t, (_, ids, _) in zip(texts, told, strict=True) if tokenizer.ids(t) != ids}
    # ftfy 6.1.1, which releases before v0.10.0 require, repairs some texts in another way.
    otherwise = {t for t, (fixed, *_) in zip(texts, told, strict=True) if ftfy.fix_text(t) != fixed}
    assert others <= otherwise
    assert len(otherwise) <= (0 if release in ("v0.10.1", "v0.11.1") else 10)
    alike = [(t, ids) for t, (_, ids, _) in zip(texts, told, strict=True) if t not in otherwise]
    assert [tokenizer.count(text) for text, _ in alike] == [len(ids) for _, ids in alike]


LENGTHS = """
import types, warnings
import transformers
from library import strategy_base

with open(sys.argv[1], encoding="utf-8") as file:
    asked = json.load(file)
tokenizer = transformers.CLIPTokenizer(sys.argv[2], sys.argv[3], model_max_length=77)

class Strategy(strategy_base.TokenizeStrategy):
    pass

def kept(text, length, weighted):
    try:
        got = Strategy()._get_input_ids(tokenizer, text, length + 2, weighted)
    except ValueError:
        return None
    ids = (got[0] if weighted else got).reshape(-1, 77)[:, 1:76].reshape(-1).tolist()
    return [i for i in ids if i != 49407]

tell([[kept(text, length, weighted) for length in (75, 150, 225) for weighted in (False, True)]
      for text in asked])
"""


def test_captions_end_where_the_trainer_cuts_them(
    tokenizer: Tokenizer,
    files: tuple[Path, Path],
    upstream: Callable[[str], Checkout],
    tmp_path: Path,
) -> None:
    odd = (
        *("(korra:1.3), smiling", "((a)) [b] (c:0.5", "(a:1.2.3)", "(a:.)", "a:1.2) b"),
        *(r"\(a\) \\", "BREAK korra BREAK", "", "()", "(a)(b)", "x [[y]] :z"),
    )
    texts = [text.replace("<", "") for text in [*odd, *captions(300)]]
    asked = tmp_path / "asked.json"
    asked.write_text(json.dumps(texts), "utf-8")
    told = asking.ask(upstream("v0.10.1"), LENGTHS, str(asked), *map(str, files))
    for text, answers in zip(texts, told, strict=True):
        both = [(length, weighted) for length in (75, 150, 225) for weighted in (False, True)]
        for (room, weighted), ids in zip(both, answers, strict=True):
            if ids is None:
                with pytest.raises(ValueError, match="could not convert string to float"):
                    tokens.counted(tokenizer, text, room, weighted=weighted)
                continue
            parts = weights.parts(text) if weighted else [weights.whole(text)]
            ours = [number for part in parts for number in tokenizer.ids(part.text)]
            found = tokens.counted(tokenizer, text, room, weighted=weighted)
            assert ours[:room] == ids, text
            assert found.tokens == len(ours)
            assert bool(found.rest) == (len(ours) > room)
