"""Each check finds what it is for, and not what is sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.dataset.checks import CHECKS, CODES
from kohya_presets.dataset.tokens import Tokenizer
from kohya_presets.errors import UserError
from tests.kohya_presets.dataset.checks.cases import CASES
from tests.kohya_presets.dataset.checks.folders import codes, found
from wrapper.data.reading import vocabulary

NEEDS_TOKENS = {"caption-long", "caption-weight", "trigger-known", "trigger-long"}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer | None:
    try:
        return vocabulary.tokenizer()
    except UserError:
        return None


def test_every_check_has_a_case_and_a_code_of_its_own() -> None:
    assert set(CASES) == CODES
    assert len(CHECKS) == len(CODES)


@pytest.mark.parametrize("code", CASES)
def test_a_check_finds_what_it_is_for(
    code: str, tokenizer: Tokenizer | None, tmp_path: Path
) -> None:
    case = CASES[code]
    if tokenizer is None and code in NEEDS_TOKENS:
        pytest.skip("CLIP's vocabulary cannot be had")
    told = found(case.fires(tmp_path / "fires"), release=case.release, tokenizer=tokenizer)
    assert code in codes(told)
    for one in told:
        assert one.problem.message, one
        assert one.problem.hint or one.check.severity == "note", one


@pytest.mark.parametrize("code", CASES)
def test_a_check_is_silent_where_all_is_well(
    code: str, tokenizer: Tokenizer | None, tmp_path: Path
) -> None:
    case = CASES[code]
    told = found(case.quiet(tmp_path / "quiet"), release=case.release, tokenizer=tokenizer)
    assert code not in codes(told)
