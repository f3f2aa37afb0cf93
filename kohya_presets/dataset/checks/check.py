"""A check: one thing that may be wrong with images or captions, and what sd-scripts makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kohya_presets.dataset.collection import Collection, Item
from kohya_presets.dataset.subsets import Subset
from kohya_presets.problems import Place, Problem, Severity, of_files, values
from kohya_presets.sdscripts import options


class Finding(NamedTuple):
    """What a check found: the files, and what is wrong with them, after their number.

    `what` without files is a whole sentence. `where` is the place, if it is not the files' folder.
    """

    what: str
    files: tuple[Path, ...] = ()
    where: Place | None = None
    hint: str | None = None  # in place of the check's own


class Check(NamedTuple):
    """One check. `says` is what is wrong, in one line; `does` what sd-scripts makes of it.

    `todo` is what to do about it. `citation` is where the behaviour stands: sd-scripts' file and
    function, or a section of the guide.
    """

    code: str
    severity: Severity
    says: str
    does: str
    todo: str
    find: Callable[[Collection], Iterator[Finding]]
    citation: str
    releases: str = ">=0.7.0"
    noun: str = "image"

    def holds_for(self, release: str) -> bool:
        """Return whether it is about this release, or commit between two."""
        return options.is_in(release, self.releases)


class Found(NamedTuple):
    """A finding with its check, as a person or a script reads it."""

    check: Check
    finding: Finding
    problem: Problem

    def values(self) -> dict[str, Any]:
        """Return it as a table for JSON."""
        files = [str(file) for file in self.finding.files]
        does, source = self.check.does, self.check.citation
        return {**values(self.problem), "files": files, "trainer": does, "source": source}


def each(
    is_so: Callable[[Item], bool], what: str, where: Callable[[Subset], bool] = lambda _: True
) -> Callable[[Collection], Iterator[Finding]]:
    """Return a check that names the images of which `is_so` is true, in one finding a folder.

    `where` tells which subsets it is about.
    """

    def find(collection: Collection) -> Iterator[Finding]:
        for items in collection.by_subset():
            if where(collection.subset(items[0])) and (
                files := tuple(item.file for item in items if is_so(item))
            ):
                yield Finding(what, files)

    return find


def found(check: Check, finding: Finding) -> Found:
    """Return a finding with its problem: how many files it is about, and the first of them."""
    files = finding.files
    message = finding.what
    where = finding.where or Place()
    if files:
        message = of_files(files, finding.what, check.noun)
        where = finding.where or Place(files[0].parent)
    hint = finding.hint or check.todo or None
    problem = Problem(check.code, check.severity, where, message, hint)
    return Found(check, finding, problem)
