"""A metadata file (`in_json`, `metadata_file`): which images it names, and their captions.

library/train_util.py, FineTuningDataset. Until v0.9.1 a key is a path as it stands, or a name
without its extension in `image_dir`; from v0.10.0 on it is a path, from `image_dir` where it is not
a full one. From v0.10.6 on a name without its extension is found again. How caption and tags become
one text changed with v0.8.6 and v0.10.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from kohya_presets.errors import UserError
from kohya_presets.files import image_folder
from kohya_presets.sdscripts import options

_PATHS_ONLY = ">=0.10.0,<0.10.6"


class Entry(NamedTuple):
    """One image of a metadata file; `image` is None where sd-scripts finds none, and stops."""

    key: str
    image: Path | None
    caption: str


def read(
    file: Path, folder: Path | None, release: str, *, separator: str, wildcard: bool = False
) -> tuple[Entry, ...]:
    """Return the images that a metadata file names, in its order.

    `wildcard` is enable_wildcard: each line of a caption gets the tags.

    Raises:
        UserError: sd-scripts cannot read it, or it is not one.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read the metadata file {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the metadata file {file} is not UTF-8") from error
    try:
        found = dict(_lines(text)) if _is_lines(file, release) else json.loads(text)
        if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
            raise ValueError("expected one table for each image")
    except (ValueError, KeyError, TypeError) as error:
        hint = "It is made by sd-scripts' tools, such as finetune/merge_captions_to_metadata.py."
        raise UserError(f"{file} is no metadata file: {error}", hint=hint) from None
    return tuple(
        Entry(
            key,
            _image(key, folder, release),
            caption(values, release, separator, wildcard=wildcard),
        )
        for key, values in found.items()
    )


def key(image: PurePosixPath, release: str) -> str:
    """Return a key that sd-scripts of this release finds for an image inside of `image_dir`."""
    is_path = options.is_in(release, ">=0.10.0")
    return str(image if is_path else image.with_name(image.stem))


def renamed(file: Path, release: str, keys: Mapping[str, str]) -> str:
    """Return the text of a metadata file that `read` has read, with other keys for its images.

    An image that `keys` does not have is left out.
    """
    text = file.read_text(encoding="utf-8")
    if _is_lines(file, release):
        lines = ({**values, "image_path": keys[k]} for k, values in _lines(text) if k in keys)
        return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    found = {keys[k]: values for k, values in json.loads(text).items() if k in keys}
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


def caption(
    values: Mapping[str, Any], release: str, separator: str, *, wildcard: bool = False
) -> str:
    """Return caption and tags of an image as one text; with wildcards one of several lines."""
    text, tags = values.get("caption"), values.get("tags")
    text, tags = (None if part is None else str(part) for part in (text, tags))
    if options.is_in(release, ">=0.10.0"):
        text = text or ""
    elif text is None:
        text, tags = tags or "", None
    if wildcard and options.is_in(release, ">=0.8.6"):
        if tags is None:
            return text
        # So tags without a caption are lost.
        tags = tags.replace("\n", separator)
        return "\n".join(f"{line}{separator}{tags}" for line in text.split("\n") if line.strip())
    if not tags:
        return text
    if options.is_in(release, "<0.8.6"):
        return f"{text}, {tags}"
    if not text and options.is_in(release, ">=0.10.0"):
        return tags
    return f"{text}{separator}{tags}"


def _is_lines(file: Path, release: str) -> bool:
    return file.suffix == ".jsonl" and not options.is_in(release, "<0.10.0")


def _lines(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for line in text.splitlines():
        values = json.loads(line)
        yield values["image_path"], values


def _image(key: str, folder: Path | None, release: str) -> Path | None:
    """Return the image that sd-scripts of this release takes for a key."""
    given = Path(key)
    there = given if given.is_absolute() or folder is None else folder / key
    if options.is_in(release, _PATHS_ONLY):
        return there if there.is_file() else None
    if given.is_file():
        return given
    if there.is_file() and not options.is_in(release, "<0.10.0"):
        return there
    named = (there.parent / (there.name + suffix) for suffix in sorted(image_folder.SUFFIXES))
    return next((file for file in named if file.is_file()), None)
