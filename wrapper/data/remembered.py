"""What was found in files and captions, or is remembered from the last time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from kohya_presets.dataset import tokens
from kohya_presets.dataset.alike import likeness
from kohya_presets.dataset.collection import Item
from kohya_presets.dataset.picture import Group, Header, Link, Pixels
from kohya_presets.dataset.subsets import Subset
from kohya_presets.dataset.tokens import Counted, Tokenizer
from wrapper.data.reading import headers as reading
from wrapper.data.reading.cache import Cache, stamps


def headers(files: Sequence[Path], cache: Cache | None) -> Iterator[Header]:
    """Yield what the header of each file says, in order."""
    if cache is None:
        yield from reading.read(files)
        return
    keys = {f: f"header {f.absolute()} {size} {ns}" for f, (size, ns) in stamps(files).items()}
    known, new = cache.recall(keys.values()), dict[str, str]()
    try:
        for file in files:
            text = known.get(keys[file])
            if text is not None:
                yield Header(file=file, **json.loads(text))
                continue
            (found,) = reading.read([file])
            values = asdict(found)
            del values["file"]
            if not found.fault:  # which may be of today alone
                new[keys[file]] = json.dumps(values)
            yield found
    finally:
        cache.remember(new)


def counted(
    items: Sequence[Item], subsets: Sequence[Subset], tokenizer: Tokenizer, cache: Cache | None
) -> list[Item]:
    """Return the images with the tokens of their captions."""
    keys = [_key(item, subsets[item.subset]) for item in items]
    known, new = (cache.recall(dict.fromkeys(keys)) if cache else {}), dict[str, str]()
    found = []
    for item, key in zip(items, keys, strict=True):
        if not item.text:
            found.append(item)
            continue
        if key not in known:
            known[key] = new[key] = json.dumps(_count(item, subsets[item.subset], tokenizer))
        count, end, fault = json.loads(known[key])
        room = _room(subsets[item.subset])
        rest = "" if end is None else item.text[end:]
        told = None if fault else Counted(count, room, rest, end)
        found.append(replace(item, counted=told, weight_fault=fault))
    if cache:
        cache.remember(new)
    return found


def groups(pixels: Sequence[Pixels], cache: Cache | None) -> tuple[Group, ...]:
    """Return the groups of pictures that are one."""
    if cache is None:
        return likeness.groups(pixels)
    files = [one.file for one in pixels]
    said = "\n".join(f"{one.sha256} {one.fault}" for one in pixels)
    key = f"groups {hashlib.sha256(said.encode('utf-8')).hexdigest()}"
    if text := cache.recall([key]).get(key):
        return tuple(_group(files, values) for values in json.loads(text))
    found = likeness.groups(pixels)
    at = {file: number for number, file in enumerate(files)}
    cache.remember({key: json.dumps([_numbers(at, group) for group in found])})
    return found


def _key(item: Item, subset: Subset) -> str:
    digest = hashlib.sha256(item.text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"tokens {digest} {_room(subset)} {_is_weighted(subset)}"


def _count(item: Item, subset: Subset, tokenizer: Tokenizer) -> tuple[int, int | None, str]:
    """Return the number of tokens, where the caption is cut, and why weights cannot be read."""
    try:
        found = tokens.counted(tokenizer, item.text, _room(subset), weighted=_is_weighted(subset))
    except ValueError as error:
        return 0, None, str(error)
    return found.tokens, found.end, ""


def _room(subset: Subset) -> int:
    length = subset.settings.train("max_token_length")
    return tokens.room_of(length if isinstance(length, int) else None)


def _is_weighted(subset: Subset) -> bool:
    return bool(subset.settings.train("weighted_captions"))


def _numbers(at: dict[Path, int], group: Group) -> list[object]:
    """Return a group with numbers for its files."""
    links = [(at[x.one], at[x.other], x.exact, x.mirrored, x.bits) for x in group.links]
    return [[at[file] for file in group.files], links]


def _group(files: Sequence[Path], values: tuple[list[int], list[list[int]]]) -> Group:
    members, links = values
    made = (Link(files[a], files[b], bool(c), bool(d), e) for a, b, c, d, e in links)
    return Group(tuple(files[number] for number in members), tuple(made))
