"""Write facts/releases.json from git repositories, with tags, of sd-scripts and the Kohya GUI.

python -m tools.make_releases SD_SCRIPTS KOHYA_SS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from kohya_presets.sdscripts import releases
from wrapper.system import proc

FIRST_GUI = (22, 0, 0)


def main() -> None:
    """Write the facts about every tag from v0.7.0 on, and about what each Kohya GUI runs."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    scripts, gui = sys.argv[1:]
    tags = tagged(scripts, releases.order(releases.tags()[0]))
    facts = {
        "generator": "tools/make_releases.py",
        "releases": [release(scripts, tag) for tag in tags],
        **guis(scripts, gui, {commit_of(scripts, tag): tag for tag in tags}),
    }
    text = json.dumps(facts, indent=1) + "\n"
    (releases.FACTS / "releases.json").write_text(text, encoding="utf-8", newline="\n")


def tagged(repository: str, first: tuple[int, ...]) -> list[str]:
    """Return the version tags of a repository from `first` on, oldest first."""
    tags = [tag for tag in git(repository, "tag").split() if order(tag) >= first]
    return sorted(tags, key=order)


def release(repository: str, tag: str) -> dict[str, Any]:
    """Return what is recorded of one tag."""
    return {
        "tag": tag,
        "commit": commit_of(repository, tag),
        "date": git(repository, "log", "-1", "--format=%cs", f"{tag}^{{commit}}").strip(),
        "fingerprints": fingerprints(repository, tag),
    }


def guis(scripts: str, gui: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return which release each version of the Kohya GUI runs, or which commit between two.

    `tags` are those of the releases, by commit.
    """
    runs: dict[str, list[str]] = {}
    between: list[dict[str, Any]] = []
    for version in tagged(gui, FIRST_GUI):
        pin = git(gui, "ls-tree", "--format=%(objectname)", version, "sd-scripts").strip()
        if pin in tags:
            runs.setdefault(tags[pin], []).append(version)
            continue
        prints = fingerprints(scripts, pin) if pin else fingerprints(gui, version)
        known = next((b for b in between if b["fingerprints"] == prints), None)
        if known is None:
            known = {"name": "", "commits": [], "gui": [], "fingerprints": prints}
            between.append(known)
        known["gui"].append(version)
        known["name"] = pin[:12] or f"gui-{version}"  # the last one's
        if pin and pin not in known["commits"]:
            known["commits"].append(pin)
    ordered = sorted(runs.items(), key=lambda item: releases.order(item[0]))
    return {"between": between, "gui": dict(ordered)}


def fingerprints(repository: str, revision: str) -> dict[str, str]:
    """Return the fingerprint of every file that tells releases apart."""
    return {
        file: releases.fingerprint(git(repository, "show", f"{revision}:{file}"))
        for file in releases.IDENTIFYING
    }


def commit_of(repository: str, tag: str) -> str:
    """Return the commit that a tag names."""
    return git(repository, "rev-parse", f"{tag}^{{commit}}").strip()


def git(repository: str, *words: str) -> str:
    """Return what git prints."""
    return proc.run(["git", "-C", repository, *words]).stdout


def order(tag: str) -> tuple[int, ...]:
    """Return `releases.order`'s key; of what is no version ("v21.1.1b"), one before all others."""
    try:
        return releases.order(tag)
    except ValueError:
        return ()


if __name__ == "__main__":
    main()
