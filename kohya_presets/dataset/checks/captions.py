"""Captions: what stops sd-scripts, what it does not read, and what it reads as something else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from kohya_presets.dataset.caption import MARK
from kohya_presets.dataset.checks.check import Check, Finding, each
from kohya_presets.dataset.collection import Collection, Item
from kohya_presets.problems import plural
from kohya_presets.sdscripts import options

_READ = "library/train_util.py, DreamBoothDataset: read_caption"
_LOADED = "library/train_util.py, DreamBoothDataset.load_dreambooth_dir"
_TOKENS = "library/train_util.py, get_input_ids; library/strategy_base.py from v0.9.0 on"
_WEIGHT = re.compile(r"\([^()]+:[+-]?[.\d]+\)")
_CHOICE = re.compile(r"\{[^{}]*\|[^{}]*\}")


def _has_file(item: Item) -> bool:
    return item.caption is not None and not item.caption.fault


def _missing(collection: Collection) -> Iterator[Finding]:
    for items in collection.by_subset():
        without = tuple(item.file for item in items if _is_bare(collection, item))
        if 0 < len(without) < len(items):
            yield Finding("without a caption", without)


def _none(collection: Collection) -> Iterator[Finding]:
    for items in collection.by_subset():
        if all(_is_bare(collection, item) for item in items):
            folder = items[0].file.parent
            hint = f'Create captions from the file names: kohya-presets captions "{folder}"'
            yield Finding("of which none has a caption", tuple(i.file for i in items), hint=hint)


def _is_bare(collection: Collection, item: Item) -> bool:
    subset = collection.subset(item)
    # Regularization images are often trained with their class alone; a folder's name is one.
    named = subset.class_tokens or subset.is_reg
    return item.caption is None and subset.kind != "metadata" and not named


def _by_folder(collection: Collection) -> Iterator[Finding]:
    for items in collection.by_subset():
        tokens = collection.subset(items[0]).class_tokens
        without = tuple(item.file for item in items if item.caption is None)
        if tokens and without and collection.subset(items[0]).kind != "metadata":
            yield Finding(f"without a caption, trained with {tokens!r}", without)


def _orphans(collection: Collection) -> Iterator[Finding]:
    for number, files in collection.beside.items():
        extension = collection.subsets[number].caption_extension
        taken = {item.caption.file for item in collection.of(number) if item.caption}
        stems = {file.stem for file in files if file.suffix != extension}
        orphans = (f for f in files if f.name.endswith(extension) and f not in taken)
        if found := tuple(f for f in orphans if f.stem not in stems):
            yield Finding("that belongs to no image", found)


def _of_file(is_so: Callable[[Item], bool], what: str) -> Callable[[Collection], Iterator[Finding]]:
    return each(lambda item: _has_file(item) and is_so(item), what)


def _further(item: Item) -> bool:
    caption = item.caption
    return caption is not None and bool(caption.unread) and bool(caption.text)


def _blank(item: Item) -> bool:
    return item.caption is not None and not item.caption.text.strip(MARK + " \n")


def _spaced(item: Item) -> bool:
    caption = item.caption
    first = caption.lines[0] if caption and caption.lines else ""
    return first != first.strip()


def _long(collection: Collection) -> Iterator[Finding]:
    for items in collection.by_subset():
        long = [(i.file, i.counted) for i in items if i.counted and i.counted.lost]
        if long:
            most = max(counted.tokens for _, counted in long)
            what = f"with more tokens than the {long[0][1].room} that are trained (up to {most})"
            yield Finding(what, tuple(file for file, _ in long))


def _structured(item: Item) -> bool:
    text = item.text.strip(MARK + " ")
    return text.startswith(('{"', '["', "[{")) and text.endswith(("}", "]"))


def _same(collection: Collection) -> Iterator[Finding]:
    by_text: dict[str, list[Path]] = {}
    for items in collection.by_subset():
        for item in items:
            if item.text and not collection.subset(item).is_reg and _has_file(item):
                by_text.setdefault(item.text, []).append(item.file)
    same = [files for files in by_text.values() if len(files) > 1]
    if same:
        files = tuple(file for group in same for file in group)
        what = f"that share {plural(len(same), 'caption')} word for word"
        yield Finding(what, files)


def _weights_off(collection: Collection) -> Iterator[Finding]:
    # Releases before v0.10.0 refuse weighted_captions with SDXL.
    refused = options.is_in(collection.release, "<0.10.0")
    hint = "Delete the weights, or use v0.10.0 or newer." if refused else None
    find = each(
        lambda item: bool(_WEIGHT.search(item.text)),
        "whose caption has weights, which are off",
        where=lambda subset: not subset.settings.train("weighted_captions"),
    )
    return (finding._replace(hint=hint) for finding in find(collection))


CHECKS = (
    Check(
        "caption-empty",
        "error",
        "a caption file has no bytes",
        'It stops with "caption file is empty" when it reads the captions.',
        "Write the caption, or delete the file.",
        each(
            lambda item: item.caption is not None and item.caption.fault == "empty",
            "with an empty caption file",
        ),
        _READ,
    ),
    Check(
        "caption-encoding",
        "error",
        "a caption file is not UTF-8",
        "It stops with a UnicodeDecodeError when it reads the captions.",
        "Save them as UTF-8.",
        each(
            lambda item: item.caption is not None and item.caption.fault == "encoding",
            "with a caption file that is not UTF-8",
        ),
        _READ,
    ),
    Check(
        "no-captions",
        "error",
        "no image of a folder has a caption",
        "It trains all images with an empty caption, and says so in its log.",
        "Write captions.",
        _none,
        _LOADED,
    ),
    Check(
        "caption-missing",
        "warning",
        "some images have no caption",
        "It trains them with an empty caption, and says so in its log.",
        "Write their captions.",
        _missing,
        _LOADED,
    ),
    Check(
        "caption-of-folder",
        "note",
        "an image without a caption has its folder's words, or class_tokens",
        "It trains them with these words.",
        "",
        _by_folder,
        _LOADED,
    ),
    Check(
        "caption-orphan",
        "warning",
        "a caption belongs to no image",
        "It does not read it.",
        "Give it the name of its image.",
        _orphans,
        _READ,
        noun="caption",
    ),
    Check(
        "caption-blank",
        "warning",
        "the first line of a caption is blank",
        "It reads the first line only, and trains the image with an empty caption.",
        "Delete the blank line.",
        _of_file(_blank, "whose caption begins with a blank line"),
        _READ,
    ),
    Check(
        "caption-mark",
        "note",
        "a caption begins with a byte-order mark",
        "It takes the mark for text, but its tokenizer drops it: the same words are trained.",
        "Nothing. Save them as UTF-8 without BOM, if other programs read them.",
        _of_file(
            lambda item: item.caption is not None and item.caption.has_mark,
            "whose caption begins with a byte-order mark",
        ),
        _READ,
    ),
    Check(
        "caption-lines",
        "warning",
        "a caption has further lines",
        "It reads the first line only.",
        "Write captions in one line: `kohya-presets captions DIR --first-line` cuts them.",
        _of_file(_further, "whose caption has further lines"),
        _READ,
    ),
    Check(
        "caption-spaces",
        "note",
        "spaces stand around a caption",
        "It drops them.",
        "",
        _of_file(_spaced, "whose caption has spaces around it"),
        _READ,
    ),
    Check(
        "caption-long",
        "warning",
        "a caption has more tokens than are trained",
        "It drops the rest without a word.",
        "Shorten them, or use --set train.max_token_length=150 or 225.",
        _long,
        _TOKENS,
    ),
    Check(
        "caption-weight",
        "error",
        "weighted_captions is on, and a weight is no number",
        "It stops with a ValueError when it comes to the image.",
        "Correct the weight, or write brackets with a backslash in front.",
        each(lambda item: bool(item.weight_fault), "whose caption has a weight that is no number"),
        "library/strategy_base.py, TokenizeStrategy._get_weighted_input_ids",
        ">=0.10.0",
    ),
    Check(
        "caption-weights-off",
        "warning",
        "a caption has weights, and weighted_captions is off",
        "It trains brackets and numbers as words.",
        "Use --set train.weighted_captions=true, or delete the weights.",
        _weights_off,
        "library/train_util.py, BaseDataset.__getitem__",
    ),
    Check(
        "caption-choices-off",
        "warning",
        "a caption has choices {a|b}, and enable_wildcard is off",
        "It trains the braces and all choices as words.",
        "Use --set dataset.enable_wildcard=true, or write one choice.",
        each(
            lambda item: bool(_CHOICE.search(item.text)),
            "whose caption has choices {a|b}, which are off",
            where=lambda subset: not subset.has("enable_wildcard"),
        ),
        "library/train_util.py, BaseDataset.process_caption",
    ),
    Check(
        "caption-json",
        "warning",
        "a caption is JSON",
        "It trains names, quotes and braces as words.",
        "Write the caption alone into the file.",
        _of_file(_structured, "whose caption is JSON"),
        _READ,
    ),
    Check(
        "caption-same",
        "advice",
        "several images have the same caption",
        "It trains them so.",
        "Say in each what differs: what is not said belongs to the concept.",
        _same,
        "guide: captions",
    ),
)
