from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wrapper.environments import doctor
from wrapper.environments.environment import Probe
from wrapper.environments.gpu import Driver, Gpu

DRIVER = Driver("550.54", (12, 4), (Gpu("NVIDIA A100", 80.0),))


def codes(probe: Probe, driver: Driver | None, **pins: str) -> list[tuple[str, str]]:
    return [(p.code, p.severity) for p in doctor.judge(probe, driver, pins)]


def packages(**versions: str) -> dict[str, str]:
    return {"torch": "2.6.0+cu124", "torchvision": "0.21.0+cu124", **versions}


def test_what_fits_together_is_no_problem() -> None:
    probe = Probe("3.11.7", packages(transformers="4.54.1"), {}, "12.4", DRIVER.gpus)
    assert codes(probe, DRIVER, transformers="4.54.1") == []


@pytest.mark.parametrize(
    ("probe", "driver", "expected"),
    [
        pytest.param(
            Probe("3.11", packages(torchvision="0.20.1"), {}, "12.4"),
            DRIVER,
            [("torchvision", "error")],
            id="torchvision of another torch",
        ),
        pytest.param(
            Probe("3.11", packages(torch="2.6.0+cpu"), {}, None),
            DRIVER,
            [("torch-cpu", "error")],
            id="no CUDA in torch",
        ),
        pytest.param(
            Probe("3.11", packages(), {}, "12.8"), DRIVER, [("driver", "error")], id="old driver"
        ),
        pytest.param(
            Probe("3.11", packages(), {"torchvision": "nms"}, None),
            None,
            [("broken-package", "warning"), ("no-driver", "warning")],
            id="no GPU, and a torchvision that the rehearsal repairs",
        ),
        pytest.param(
            Probe("3.11", packages(), {"accelerate": "x"}, "12.4"),
            DRIVER,
            [("broken-package", "error")],
            id="broken",
        ),
    ],
)
def test_what_does_not(
    probe: Probe, driver: Driver | None, expected: list[tuple[str, str]]
) -> None:
    assert codes(probe, driver) == expected


def test_a_transformers_that_breaks_an_old_release_is_an_error() -> None:
    probe = Probe("3.11", packages(transformers="4.54.1", accelerate="1.6.0"), {}, "12.4")
    assert codes(probe, DRIVER, transformers="4.30.2", accelerate="0.23.0") == [
        ("pin", "error"),
        ("pin", "warning"),
    ]


def test_nothing_is_made_or_fetched(home: Path) -> None:
    findings = doctor.examine("v0.10.1", None, None)
    assert "not downloaded yet" in findings.facts["sd-scripts"]
    assert findings.facts["environment"] == "not created yet"
    assert not home.exists()


def test_an_environment_that_is_named_is_examined() -> None:
    findings = doctor.examine("v0.10.1", None, sys.executable)
    assert sys.executable in findings.facts["environment"]
    assert findings.as_json()["facts"]["kohya-presets"]
