"""Find every problem of a preset for one release; `config_files` does it for sd-scripts' files.

First each setting alone (`each_setting`), then their combinations (`rules`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kohya_presets.memory import estimate
from kohya_presets.presets import inherit
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.inherit import Laid
from kohya_presets.presets.preset import SETTINGS, Preset, place
from kohya_presets.problems import Problem, errors
from kohya_presets.sdscripts.options import is_in
from kohya_presets.sdscripts.scripts import TRAINERS
from kohya_presets.training import settings, spread
from kohya_presets.training.settings import Settings
from kohya_presets.validate import each_setting, report, rules, silence
from kohya_presets.validate.report import Against, Report


def preset(
    name: str, presets: Catalogue, against: Against, *, overrides: Sequence[str] = ()
) -> Report:
    """Return what is wrong with the preset called `name`.

    Raises:
        UserError: there is none.
    """
    found = inherit.inspect(presets.find(name), find=presets.find, overrides=overrides)
    problems = list(found.problems)
    if found.preset is None or found.is_jumbled:
        problems += [] if found.is_jumbled else _settings_alone(found, against)
        return Report(name, against.release, tuple(problems))
    whole = loaded(found.preset, against)
    reported = {problem.where.key for problem in problems}
    rest = [problem for problem in whole.problems if problem.where.key not in reported]
    size = None if errors(problems) else whole.memory
    return replace(whole, problems=(*problems, *rest), memory=size)


def loaded(made: Preset, against: Against) -> Report:
    """Return what is wrong with a preset that was read without errors."""
    over = against.spread or spread.of_preset(made)
    found = settings.of_preset(
        made,
        against.release,
        against.additions,
        carried=against.patches,
        images=against.images,
        processes=over.processes,
    )
    problems = [*each_setting.of_preset(found), *spread.problems(found, over)]
    if made.script in TRAINERS:  # otherwise no option is known, which is reported
        problems += rules.check(found)
    size = report.memory(found, problems)
    problems += estimate.problems(made, found, against.gpu_gib, size) if size else []
    ignore = against.ignore | set(made.silence)
    wrong = (*_release(made, against.release), *silence.of_preset(made))
    kept = (*wrong, *report.without(ignore, problems))
    return Report(made.name, against.release, kept, found, made, size)


def _settings_alone(found: Laid, against: Against) -> Iterator[Problem]:
    """Yield what is wrong with each setting of a preset whose [preset] is not complete."""
    header = found.tables["preset"]
    script, patches = header.get("script"), header.get("patches", [])
    listed = isinstance(patches, list) and all(isinstance(name, str) for name in patches)
    if not listed or (not found.is_whole and "patches" not in header):
        patches = against.additions.names  # the unread part may allow an unknown option
    alone = Settings(
        {name: table for name, table in found.tables.items() if name in SETTINGS},
        script if isinstance(script, str) else "",  # with an unknown script, no option is unknown
        against.release,
        tuple(patches),
        against.additions,
        functools.partial(place, found.sources, None),
    )
    yield from each_setting.of_preset(alone)


def _release(made: Preset, release: str) -> Iterator[Problem]:
    if not is_in(release, made.releases):
        message = f"preset {made.name!r} needs sd-scripts {made.releases}, but this is {release}"
        where = made.place("preset", "releases")
        yield Problem("release", "error", where, message, "Use another --release or --checkout.")
