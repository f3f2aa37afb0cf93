"""Write a card: `card.toml` with the author's words, and the pages made from it."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kohya_presets.cards import front_matter, html, markdown, page, words, words_file
from kohya_presets.cards.facts import Facts, Sample
from kohya_presets.cards.words import Gap, Words
from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.problems import Problem, errors
from kohya_presets.toml import source as toml_source
from kohya_presets.toml.source import Source
from wrapper.cards import about, from_run, pictures
from wrapper.cards.about import About
from wrapper.system import whole

MARKDOWN, HTML, README = "card.md", "card.html", "README.md"
WRITTEN = ".written.json"  # what we wrote, so that a page edited by hand is not overwritten
_BOM = "\ufeff"


@dataclass(frozen=True)
class Card:
    """A card that is written: its folder, its files, and what is still open in it."""

    folder: Path
    files: tuple[Path, ...]
    pictures: tuple[Path, ...]
    facts: Facts  # with the pictures
    words: Words
    warnings: tuple[Problem, ...]
    first: Path | None  # the picture that stands for the model, as large as it was made

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What the author has not filled in."""
        return self.words.gaps


def write(
    found: About,
    out: Path | None = None,
    *,
    after: Path | None = None,
    repository: str = "",
    today: datetime.date,
    force: bool = False,
) -> Card:
    """Return the card of what was found, written to `out`, or to its usual folder.

    `after` is an earlier card whose words are taken; `repository` is OWNER/NAME on Hugging Face.
    `card.toml` is made if it is not there, and else gets only what it lacks.

    Raises:
        ProblemsError: `card.toml` has errors.
        UserError: a page was edited by hand, and `force` is not set; or it cannot be written.
    """
    folder = (out or found.folder).expanduser().resolve()
    file = folder / words.NAME
    before, text = _text(file, found, after)
    source = _checked(file, text)
    text = words_file.with_version(words_file.completed(text), found.facts, today)
    written = words.of(toml_source.parse(text, file))
    written = _with_trigger(written, found)
    made = pictures.shown(found.pictures)
    files: dict[Path, bytes] = {
        folder / "pictures" / f"{number}.jpg": content
        for number, (_, content) in enumerate(made, 1)
    }
    shown = tuple(files)
    facts = replace(
        found.facts,
        sampling=from_run.common([picture.sampling for picture, _ in made]),
        samples=tuple(
            Sample(
                at.relative_to(folder).as_posix(), picture.prompt, picture.seed, picture.sampling
            )
            for at, (picture, _) in zip(files, made, strict=True)
        ),
    )
    texts = _pages(facts, written, found, repository)
    files |= {folder / name: said.encode("utf-8") for name, said in texts.items()}
    _require_own(folder, files, force=force)
    record = {at.relative_to(folder).as_posix(): _hash(content) for at, content in files.items()}
    kept = {folder / WRITTEN: (json.dumps(record, indent=1) + "\n").encode("utf-8")}
    if text != before[0]:
        kept[file] = before[1] + text.replace("\n", before[2]).encode("utf-8")
    try:
        whole.put({**files, **kept})
    except OSError as error:
        raise UserError(f"cannot write {error.filename or folder}: {error.strerror}") from None
    return Card(
        folder,
        (file, *files),
        shown,
        facts,
        written,
        tuple(p for p in words.problems(source) if p.severity != "error"),
        made[0][0].file if made else None,
    )


def _text(file: Path, found: About, after: Path | None) -> tuple[tuple[str, bytes, str], str]:
    """Return what is in `card.toml` (text, byte order mark, line end), and the text to go on with.

    Where there is none, that is an earlier card's text, or a new one.
    """
    if not file.exists():
        text = _earlier(after) if after else words_file.new(found.known)
        return ("", b"", "\n"), text
    if after:
        raise UserError(
            f"{file} is there already, so --after is not used",
            hint="Leave --after out, or choose another folder with --out.",
        )
    try:
        raw = file.read_bytes()
        text = raw.decode("utf-8")
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        _checked(file, None)
        raise
    mark = _BOM.encode("utf-8") if text.startswith(_BOM) else b""
    text = text.removeprefix(_BOM)
    ending = "\r\n" if "\r\n" in text else "\n"
    plain = text.replace("\r\n", "\n")
    return (plain, mark, ending), plain


def _earlier(after: Path) -> str:
    """Return the text of an earlier `card.toml`: a file, its folder, or the run it belongs to."""
    after = after.expanduser()
    places = (after, after / words.NAME, after / about.CARD / words.NAME)
    for place in places:
        if place.is_file():
            text = toml_source.read(place).text
            _checked(place, text)
            return text
    raise UserError(
        f"{after} has no {words.NAME}",
        hint="Give the folder of a run that has a card, or the card.toml itself.",
    )


def _checked(file: Path, text: str | None) -> Source:
    """Return what `card.toml` says; None: read it, it is no UTF-8.

    Raises:
        ProblemsError: it has errors.
    """
    source = toml_source.read(file) if text is None else toml_source.parse(text, file)
    if wrong := errors(words.problems(source)):
        raise ProblemsError(str(file), wrong, hint=f"Correct {file}; nothing was written.")
    return source


def _with_trigger(written: Words, found: About) -> Words:
    """Return the words with the trigger that `evaluate` was given, if the author left it open."""
    trigger = found.evaluation.trigger if found.evaluation else ""
    if not trigger or not written.gap("trigger"):
        return written
    gaps = tuple(gap for gap in written.gaps if gap.key != "trigger")
    return replace(written, trigger=(trigger,), gaps=gaps)


def _pages(facts: Facts, written: Words, found: About, repository: str) -> Mapping[str, str]:
    blocks = page.of(facts, written, found.evaluation)
    hub = page.of_hub(facts, written, found.evaluation, repository)
    head = front_matter.text(front_matter.values(facts, written))
    gallery = "<Gallery />\n\n" if facts.samples else ""  # the Hub's own: the widget's pictures
    return {
        MARKDOWN: markdown.text(page.titled(facts, written, found.evaluation)),
        HTML: html.text(blocks),
        README: f"{head}\n{gallery}{markdown.text(hub)}",
    }


def _require_own(folder: Path, files: Mapping[Path, bytes], *, force: bool) -> None:
    """Refuse to overwrite what is there, unless it is as we wrote it."""
    try:
        record = json.loads((folder / WRITTEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = {}
    for at, content in () if force else files.items():
        try:
            there = at.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"cannot read {at}: {error.strerror}") from None
        name = at.relative_to(folder).as_posix()
        ours = isinstance(record, dict) and record.get(name) == _hash(there)
        if there != content and not ours:
            raise UserError(
                f"{at} was not written by `card`, or was edited since",
                hint=f"Write your words into {folder / words.NAME}. "
                "Add --force to overwrite the file.",
            )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
