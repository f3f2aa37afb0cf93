"""Tokens and passwords: where people put them, what they look like, and a text without them.

Nothing secret is stored or printed. A trainer finds its tokens in the environment, or where
`wandb login` and `hf auth login` keep them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MASK = "***"


class Instead(NamedTuple):
    """Where a token belongs that is no setting: a variable of the environment, or a command."""

    variable: str
    login: str


OPTIONS: Mapping[str, Instead] = {
    "wandb_api_key": Instead("WANDB_API_KEY", "wandb login"),
    "huggingface_token": Instead("HF_TOKEN", "hf auth login"),
}
# Tokens by their form. W&B's old keys have 40 hexadecimal digits, as commits do: by name only.
_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|wandb_v\d_\w{16,}|gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
    r"|glpat-[\w-]{16,}|sk-[\w-]{20,}|xox[a-z]-[\w-]{10,})"
    r"|(?<=/api/webhooks/)\d+/[\w-]+|(?<=hooks\.slack\.com/)[\w/-]{8,}"
)
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@'\"]+(?=@)")  # user:token@ of a URL
_HTTP = re.compile(
    r"(?P<scheme>https?://)(?P<user>[^/?#]*)@(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_IN_QUERY = re.compile(
    r"(?<=[?&])((?:access_|private_|auth_)?token|api_?key|key|password|secret|sig(?:nature)?|auth)="
    r"[^\s&'\"]+",
    re.IGNORECASE,
)
_NAMED = re.compile(  # name = value, "name": "value", --name value
    rf"(?P<name>\b(?:{'|'.join(OPTIONS)})\b['\"]?)(?P<is>\s*=\s*|\s*:\s*(?=['\"]))"
    r"(?P<value>'[^']*'?|\"[^\"]*\"?|[^\s'\",}\]]+)"
)
_WORD = re.compile(rf"(--(?:{'|'.join(OPTIONS)}))(\s+)('[^']*'|\"[^\"]*\"|[^\s'\"]+)")


def masked(text: str) -> str:
    """Return a text in which every secret that can be recognized is masked."""
    if "://" in text:
        text = _CREDENTIALS.sub(_user, text)
        text = _IN_QUERY.sub(rf"\1={MASK}", text)
    text = _TOKEN.sub(MASK, text)
    if any(name in text for name in OPTIONS):
        text = _NAMED.sub(rf"\g<name>\g<is>{MASK}", text)
        text = _WORD.sub(rf"\1\2{MASK}", text)
    return text


def masked_of(key: str, text: str) -> str:
    """Return a text about the setting `key`; what was found there may be a secret of any form."""
    if key.rpartition(".")[2] in OPTIONS:
        text = re.sub(r"\bfound (?!a token\b).*", f"found {MASK}", text, flags=re.DOTALL)
    return masked(text)


def masked_after(text: str) -> str:
    """Return words that nobody could read, up to the name of a secret setting in them."""
    for name in OPTIONS:
        before, found, after = text.partition(name)
        if found and after.strip():
            return f"{before}{name}{MASK}"
    return masked(text)


def holds(value: Any) -> bool:
    """Return whether a value looks like a secret, or has a part that does."""
    if isinstance(value, str):
        return masked(value) != value
    if isinstance(value, Mapping):
        return any(map(holds, (*value.keys(), *value.values())))
    return isinstance(value, list | tuple) and any(map(holds, value))


def settings(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of a table whose values are secrets."""
    for key, value in table.items():
        named = key in OPTIONS and value not in ("", "unset", None, False)
        if named or holds(value):
            yield key


def without_credentials(url: str) -> tuple[str, str | None]:
    """Return an http(s) URL without the "user:token@" in it, and that; None if it has none."""
    found = _HTTP.fullmatch(url)
    return (found["scheme"] + found["rest"], found["user"]) if found else (url, None)


def _user(found: re.Match[str]) -> str:
    """Return the mask for a URL's user and token; ssh needs its user, which is no secret."""
    scheme = found.string[: found.start()].rpartition("://")[0].rpartition(" ")[2]
    is_user = scheme.endswith("ssh") and ":" not in found[0]
    return found[0] if is_user else MASK
