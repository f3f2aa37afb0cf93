"""Write facts/releases.json from a git repository of sd-scripts that has the tags.

python -m tools.make_releases REPOSITORY [TAG...]
"""

from __future__ import annotations

import json
import sys
from typing import Any

from kohya_presets import releases
from wrapper import proc


def main() -> None:
    """Write the facts about every tag from v0.7.0 on, or those given."""
    repository, *wanted = sys.argv[1:]
    tags = wanted or [t for t in git(repository, "tag").split() if _ours(t)]
    facts = [release(repository, tag) for tag in sorted(tags, key=releases.order)]
    text = json.dumps({"generator": "tools/make_releases.py", "releases": facts}, indent=1) + "\n"
    (releases.FACTS / "releases.json").write_text(text, encoding="utf-8", newline="\n")


def release(repository: str, tag: str) -> dict[str, Any]:
    """Return what is recorded of one tag."""
    return {
        "tag": tag,
        "commit": git(repository, "rev-parse", f"{tag}^{{commit}}").strip(),
        "date": git(repository, "log", "-1", "--format=%cs", f"{tag}^{{commit}}").strip(),
        "fingerprints": {
            file: releases.fingerprint(git(repository, "show", f"{tag}:{file}"))
            for file in releases.IDENTIFYING
        },
    }


def git(repository: str, *words: str) -> str:
    """Return what git prints."""
    return proc.run(["git", "-C", repository, *words]).stdout


def _ours(tag: str) -> bool:
    try:
        return releases.order(tag) >= (0, 7, 0)
    except ValueError:
        return False


if __name__ == "__main__":
    main()
