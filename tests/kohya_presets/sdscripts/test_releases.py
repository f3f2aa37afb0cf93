from __future__ import annotations

import pytest

from kohya_presets.errors import UserError
from kohya_presets.sdscripts import releases

PATCHED = """\
def train():
    # >>> kohya-presets: ema
    kp_ema.update()
    # <<< kohya-presets: ema
    step += 1
    # >>> kohya-presets: fast
    # | svd(a)
    # |
    svd(a, False)
    # <<< kohya-presets: fast
"""
PLAIN = "def train():\n    step += 1\n    svd(a)\n    \n"


def test_all_releases_are_known_in_order() -> None:
    tags = releases.tags()
    assert (tags[0], tags[-1], len(tags)) == ("v0.7.0", "v0.11.1", 22)
    assert list(tags) == sorted(tags, key=releases.order)
    assert releases.DEFAULT in tags


@pytest.mark.parametrize("text", ["v0.10.1", "0.10.1", "ae72efb", "AE72EFB92BAB"])
def test_a_release_is_found_by_tag_or_commit(text: str) -> None:
    assert releases.find(text).tag == "v0.10.1"


def test_an_unknown_tag_suggests_a_near_one() -> None:
    with pytest.raises(UserError) as caught:
        releases.find("v0.10.9")
    assert "v0.10." in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("tag", "spec", "fits"),
    [
        ("v0.7.0", ">=0.7.1", False),
        ("v0.7.1", ">=0.7.1", True),
        ("v0.10.1", ">=0.7.1,<0.11", True),
        ("v0.11.0", ">=0.7.1, <0.11", False),
        ("v0.9.1", "==v0.9.1", True),
        ("v0.9.1", "!=0.9.1", False),
        ("v0.10.0", ">0.9.1", True),
        ("v0.9.1", "<=0.9", False),
    ],
)
def test_a_condition_on_releases(tag: str, spec: str, fits: bool) -> None:
    assert releases.satisfies(tag, spec) is fits


@pytest.mark.parametrize("spec", ["", "0.7.1", ">=new", ">=0.7.1;<1"])
def test_a_condition_of_another_form_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        releases.satisfies("v0.9.1", spec)


@pytest.mark.parametrize("text", [PATCHED, PATCHED.replace("\n", "\r\n"), "\ufeff" + PATCHED])
def test_our_patches_and_line_ends_do_not_change_a_fingerprint(text: str) -> None:
    assert releases.fingerprint(text) == releases.fingerprint(PLAIN)


def test_an_edit_does() -> None:
    assert releases.fingerprint(PLAIN + "x = 1\n") != releases.fingerprint(PLAIN)
