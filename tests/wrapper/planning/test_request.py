from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.errors import PresetError
from kohya_presets.presets.catalogue import Catalogue
from wrapper.planning import preflight, request, trainer
from wrapper.planning.request import Request
from wrapper.screen.talk import Talk


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hold the release of each time that a preset is validated."""
    found: list[str] = []
    fit = preflight.fit

    def counted(preset: object, checkout: object, **more: object) -> object:
        found.append(checkout.options_of)  # type: ignore[attr-defined]
        return fit(preset, checkout, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(preflight, "fit", counted)
    return found


def test_a_preset_is_validated_once(
    asked_for: list[str], shipped: Catalogue, tmp_path: Path
) -> None:
    wanted = Request(shipped.load("skynet"), "x", tmp_path, "v0.10.1", standin=True)
    asked = request.validate(wanted, Talk())
    request.fitting(wanted, trainer.standin(), asked, Talk())
    assert asked_for == ["v0.10.1"]


def test_where_another_release_was_found_it_is_validated_for_that_too(
    asked_for: list[str], shipped: Catalogue, tmp_path: Path
) -> None:
    wanted = Request(shipped.load("skynet"), "x", tmp_path, "v0.9.1")
    asked = request.validate(wanted, Talk())
    request.fitting(wanted, trainer.standin(), asked, Talk())
    assert asked_for == ["v0.9.1", "v0.10.1"]


def test_a_wrong_setting_stops_before_anything_is_downloaded(
    shipped: Catalogue, tmp_path: Path
) -> None:
    preset = shipped.load("skynet", overrides=["train.lerning_rate=1e-6"])
    with pytest.raises(PresetError) as caught:
        request.validate(Request(preset, "x", tmp_path, "v0.10.1"), Talk())
    assert [p.code for p in caught.value.problems] == ["unknown-option"]
