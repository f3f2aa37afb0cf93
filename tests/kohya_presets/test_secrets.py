from __future__ import annotations

import pytest

from kohya_presets import secrets

HF = "hf_abcdefghijklmnopQRSTUVWXYZ0123"
GITHUB = "ghp_0123456789abcdefghijABCDEFGHIJ012345"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"token {HF} given", "token *** given"),
        (f"https://me:{GITHUB}@github.com/a/b", "https://***@github.com/a/b"),
        ("https://only-a-token@github.com/a", "https://***@github.com/a"),
        ("https://h.org/a?x=1&access_token=abc&y=2", "https://h.org/a?x=1&access_token=***&y=2"),
        ("wandb_api_key = 'abc def' # mine", "wandb_api_key = *** # mine"),
        ("train.wandb_api_key=0123abc", "train.wandb_api_key=***"),
        ('{"huggingface_token": "abc", "a": 1}', '{"huggingface_token": ***, "a": 1}'),
        ("--wandb_api_key abc --seed 1", "--wandb_api_key *** --seed 1"),
        ("--wandb_api_key=abc --seed 1", "--wandb_api_key=*** --seed 1"),
        ("https://discord.com/api/webhooks/12/ab-c", "https://discord.com/api/webhooks/***"),
        ("https://hooks.slack.com/services/T0/B0/x", "https://hooks.slack.com/***"),
    ],
)
def test_what_is_secret_is_masked(text: str, shown: str) -> None:
    assert secrets.masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "wandb_api_key is an option of sdxl_train.py",
        "train.wandb_api_key: expected the environment variable WANDB_API_KEY",
        "git@github.com:kohya-ss/sd-scripts",
        "ssh://git@github.com/kohya-ss/sd-scripts",
        "https://github.com/kohya-ss/sd-scripts/tree/0123456789abcdef0123456789abcdef01234567",
        "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0",
        "keep_tokens=1 and max_token_length=225",
        "hf_home is a folder",
    ],
)
def test_nothing_else_is(text: str) -> None:
    assert secrets.masked(text) == text


def test_secrets_of_a_table_are_found_in_lists_too() -> None:
    table = {
        "wandb_api_key": "abc",
        "huggingface_token": "",
        "seed": 1,
        "network_args": ["a=1", f"b={HF}"],
    }
    assert list(secrets.settings(table)) == ["wandb_api_key", "network_args"]


def test_a_url_is_told_from_what_gives_access_to_it() -> None:
    assert secrets.without_credentials("https://a:b@h/x.git") == ("https://h/x.git", "a:b")
    assert secrets.without_credentials("https://h/x") == ("https://h/x", None)
    assert secrets.without_credentials("git@h:x") == ("git@h:x", None)
