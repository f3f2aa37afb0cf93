"""The report of a run as one page: no script, nothing fetched, pictures inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kohya_presets.errors import UserError
from kohya_presets.pages import page as pages
from wrapper.reports import drawn, gather, samples, story, told
from wrapper.reports.gather import Gathered
from wrapper.reports.samples import Shown
from wrapper.system import proc, whole

HERE = Path(__file__).parent
NAME = "report.html"
MADE_BY = "report"
_SIGN = f'content="kohya-presets {MADE_BY}"'.encode()
_HEAD = 2000  # bytes in which that stands
_PROMPT = 600  # letters of a prompt


class Picture(NamedTuple):
    """A sample as the page shows it."""

    source: str
    width: int
    height: int
    when: str
    alt: str
    fault: str


class Prompt(NamedTuple):
    """A prompt and its pictures."""

    number: int
    text: str
    pictures: list[Picture]


def write(
    folder: Path, out: Path | None = None, *, rate: float | None = None, force: bool = False
) -> Path:
    """Write the report of the run in a folder; return the file. Ours is overwritten, others not.

    `rate` is what the machine costs in an hour.

    Raises:
        UserError: it is not a run, or the file is somebody else's, or cannot be written.
    """
    found = gather.of(folder, rate=rate)
    file = found.run.folder / NAME if out is None else out.expanduser()
    if out is None and file.is_symlink():  # of a run from elsewhere: it could lead anywhere
        hint = "Delete the link, or write elsewhere with --out FILE."
        raise UserError(f"{file} is a link, not a report", hint=hint)
    shown = samples.small(found.run.folder, samples.chosen(found.samples))
    beside = file.absolute().parent == found.run.folder  # else links into the run would lead astray
    text = render(found, shown, beside=beside)
    whole.write({file: text}, force=force or _is_ours(file))
    return file


def render(found: Gathered, shown: Sequence[Shown], *, beside: bool = True) -> str:
    """Return the page; `beside` says that it will lie in the run's folder, and may link into it."""
    moments, left_out = story.shown(story.moments(found))
    return pages.render(
        HERE,
        "report.html.jinja",
        made_by=MADE_BY,
        style=pages.part(HERE / "report.css"),
        title=found.run.name,
        status=found.status,
        made=story.when(found.now),
        steps=told.next_steps(found),
        evaluation=told.evaluation(found),
        has_evaluation_page=found.has_evaluation_page and beside,
        evaluation_page=f"./{gather.EVALUATION_PAGE.as_posix()}",
        no_evaluation=_no_evaluation(found),
        facts=list(told.went_in(found)),
        settings=told.settings(found),
        check=proc.our_line("dataset", "check", _data(found)),
        plots={
            name: getattr(drawn, name)(found)
            for name in (
                *("loss", "epochs", "rates", "own_rates", "average"),
                *("memory", "times", "line_of_time"),
            )
        },
        prompts=_prompts(found, shown),
        no_samples=_no_samples(found),
        samples=len(found.samples),
        shown=len(shown),
        lora=str(found.lora) if found.lora else "",
        no_lora="The run has not made its LoRA yet, or makes a model without one.",
        metadata=told.metadata(found),
        spectrum=told.spectrum(found),
        rank=_rank(found),
        files=told.files(found),
        warnings=told.warnings(found),
        moments=[(story.when(m.at), m.kind, m.text) for m in moments],
        left_out=left_out,
        is_cut=any(read.cut for read in found.logs.values()),
    )


def _is_ours(file: Path) -> bool:
    """Return whether a report of ours is there, which the next one replaces."""
    try:
        with file.open("rb") as opened:
            return _SIGN in opened.read(_HEAD)
    except OSError:
        return False


def _prompts(found: Gathered, shown: Sequence[Shown]) -> list[Prompt]:
    made = []
    for number in sorted({one.sample.prompt for one in shown}):
        said = found.prompts[number] if number < len(found.prompts) else ""
        own = [one for one in shown if one.sample.prompt == number]
        pictures = [_picture(one, said) for one in own]
        made.append(Prompt(number + 1, said[:_PROMPT], pictures))
    return made


def _picture(one: Shown, prompt: str) -> Picture:
    when = one.sample.when
    about = f"Sample of prompt {one.sample.prompt + 1} at {when}"
    alt = f"{about}: {prompt[:_PROMPT]}" if prompt else about
    return Picture(pages.webp_url(one.webp), *one.size, when, alt, one.fault)


def _no_samples(found: Gathered) -> str:
    if found.prompts:
        return "No sample picture is in samples/ yet."
    return "The run makes no samples: train with --samples auto, or with a file of prompts."


def _no_evaluation(found: Gathered) -> str:
    if found.evaluation is not None:
        return ""
    evaluate = proc.our_line("evaluate", found.run.folder)
    return f"The epochs were not compared yet: `{evaluate}` does that, once there is a LoRA."


def _rank(found: Gathered) -> dict[str, Any]:
    """Return how to measure what each rank keeps, where that was not done."""
    base = str(found.run.facts.get("base", {}).get("file", "BASE.safetensors"))
    models = [stage.output for stage in found.run.stages if stage.name == "train"]
    line = proc.our_line("lora", "rank", "--base", base, "--tuned", *models[:1], "--json")
    return {
        "why": f"Not measured: {gather.RANKS} is not in the run's folder. It takes minutes.",
        "command": f"{line} > {proc.command_line([found.run.folder / gather.RANKS])}",
        "applies": any(stage.name == "extract" for stage in found.run.stages),
        "direct": "The run trains a LoRA directly: its rank was chosen, not measured.",
    }


def _data(found: Gathered) -> str:
    return str(found.run.facts.get("data", {}).get("folder", "DIR"))
