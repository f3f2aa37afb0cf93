"""An upload is planned, and sent only with a finished card; no token is ever told."""

from __future__ import annotations

import datetime
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from kohya_presets.errors import UserError
from tests.kohya_presets.cards import made
from tests.wrapper.cards import runs
from wrapper.cards import about, upload, writing
from wrapper.cards.writing import Card

TOKEN = "hf_PlantedPlantedPlantedPlanted42"
TODAY = datetime.date(2026, 3, 4)


class Hub:
    """Keeps what `HfApi` was asked for; each call must fit the real one's arguments."""

    def __init__(self, there: tuple[str, ...] = (), fault: Exception | None = None) -> None:
        self.there, self.fault = there, fault
        self.asked: dict[str, dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        def called(*words: Any, **options: Any) -> Any:
            bound = inspect.signature(getattr(HfApi, name)).bind(None, *words, **options)
            self.asked[name] = bound.arguments
            if self.fault:
                raise self.fault
            return self.there if name == "list_repo_files" else SimpleNamespace(commit_url="URL")

        return called


def finished(tmp_path: Path, words: str = made.FILLED) -> tuple[Card, Path]:
    run = runs.finished(tmp_path / "korra")
    file = run.folder / "card" / "card.toml"
    file.parent.mkdir()
    file.write_text(words.split("[[versions]]")[0], "utf-8")
    return writing.write(about.of(run.folder), today=TODAY, repository="aya/korra"), run.product


def test_the_plan_has_the_readme_its_pictures_and_the_lora(tmp_path: Path) -> None:
    card, lora = finished(tmp_path)
    planned = upload.plan(card, lora, "aya/korra")
    assert [*planned.files] == [
        "README.md", "pictures/1.jpg", "pictures/2.jpg", "korra.safetensors",
    ]  # fmt: skip
    readme = planned.files["README.md"].read_text("utf-8")
    for name in planned.files:
        assert name == "README.md" or name in readme
    lines = "\n".join(upload.lines(planned))
    assert "would upload to https://huggingface.co/aya/korra" in lines
    assert "private" in lines
    assert "public" in "\n".join(upload.lines(upload.plan(card, lora, "a/b", public=True)))


def test_all_goes_up_as_one_commit(tmp_path: Path) -> None:
    card, lora = finished(tmp_path)
    planned, hub = upload.plan(card, lora, "aya/korra"), Hub()
    upload.require_ready(card)
    assert upload.carry_out(planned, TOKEN, hub) == "URL"
    assert hub.asked["create_repo"]["private"] is True
    assert hub.asked["create_repo"]["exist_ok"] is True
    commit = hub.asked["create_commit"]
    assert commit["repo_id"] == "aya/korra"
    sent = {one.path_in_repo: Path(one.path_or_fileobj) for one in commit["operations"]}
    assert sent == planned.files
    assert commit["commit_message"] == "Korra 1"


def test_files_that_are_there_are_replaced_only_with_force(tmp_path: Path) -> None:
    card, lora = finished(tmp_path)
    planned, hub = upload.plan(card, lora, "aya/korra"), Hub(("README.md", ".gitattributes"))
    with pytest.raises(UserError, match=r"already has README\.md") as caught:
        upload.carry_out(planned, TOKEN, hub)
    assert "--force" in (caught.value.hint or "")
    assert "create_commit" not in hub.asked
    assert upload.carry_out(planned, TOKEN, hub, force=True) == "URL"


@pytest.mark.parametrize(
    "fault",
    [
        HfHubHTTPError(
            f"401 for url https://x/?token={TOKEN}",
            response=httpx.Response(401, request=httpx.Request("GET", "https://x")),
        ),
        httpx.ConnectError(f"no route, {TOKEN}"),
        OSError("plain-secret-of-mine is in it"),
        ValueError(TOKEN),
    ],
)
def test_a_fault_is_told_without_the_token(tmp_path: Path, fault: Exception) -> None:
    card, lora = finished(tmp_path)
    for token in (TOKEN, "plain-secret-of-mine"):
        with pytest.raises(UserError, match="could not upload to aya/korra") as caught:
            upload.carry_out(upload.plan(card, lora, "aya/korra"), token, Hub(fault=fault))
        assert token not in f"{caught.value}{caught.value.hint}"


def test_a_card_with_gaps_or_of_a_rehearsal_is_not_uploaded(tmp_path: Path) -> None:
    card, _ = finished(tmp_path, 'title = "x"\n')
    with pytest.raises(UserError, match="the card still has 9 gaps: description"):
        upload.require_ready(card)
    tiny = runs.finished(tmp_path / "tiny", kind="rehearsal")
    with pytest.raises(UserError, match="rehearsal"):
        upload.require_ready(writing.write(about.of(tiny.folder), today=TODAY))


def test_the_token_comes_from_the_environment_alone() -> None:
    assert upload.token({"HF_TOKEN": f" {TOKEN}\n"}) == TOKEN
    assert upload.token({"HUGGING_FACE_HUB_TOKEN": TOKEN}) == TOKEN
    with pytest.raises(UserError, match="HF_TOKEN is not set"):
        upload.token({"HF_TOKEN": ""})


@pytest.mark.parametrize(
    "name",
    [
        *("korra", "a/b/c", "/a", "a/", "a b/c", "-a/b", "a/b..c", "a/b.git", "a/b--c", ""),
        "https://huggingface.co/a/b",
    ],
)
def test_what_is_no_repository_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="expected OWNER/NAME"):
        upload.require_repository(name)


@pytest.mark.parametrize("name", ["aya/korra", "A1/my_lora-2.0", "a/_b"])
def test_a_repositorys_name_is_taken(name: str) -> None:
    assert upload.require_repository(name) == name
