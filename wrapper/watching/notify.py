"""Tell a webhook how a run goes: ntfy, Discord, Slack, or anything that takes JSON.

The address is a secret (whoever knows one of Discord or Slack may write there): it is in no file,
no log, no error and no child's environment. A webhook that fails never stops or delays a run.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from kohya_presets.errors import UserError
from wrapper.system.paths import NOTIFY_VARIABLE

SECONDS = 10.0  # for an answer
LAST_SECONDS = 15.0  # for what is still to be sent when the run is over
LONGEST = 1500  # letters: Discord takes 2000
MILESTONES = (25, 50, 75)  # percent of a stage's steps

Event = Literal["start", "milestone", "failure", "end"]
_DISCORD = ("discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com")
_SLACK = ("hooks.slack.com", "hooks.slack-gov.com")
_CANNOT = 'expected --notify with a URL such as "https://ntfy.sh/my-topic"'


class Message(NamedTuple):
    """What is told: a run, what happened, a short text."""

    run: str
    event: Event
    text: str


def address(given: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the webhook of --notify, else of the environment; None where there is none.

    Raises:
        UserError: it is no http(s) URL. Its text is not shown.
    """
    url = (given if given is not None else environ.get(NOTIFY_VARIABLE, "")).strip()
    if not url:
        return None
    try:
        parts = urllib.parse.urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or any(letter.isspace() for letter in url):
        raise UserError(
            f"{_CANNOT}, found something else",
            hint=f"Copy the whole URL, with https://, or set {NOTIFY_VARIABLE} to it.",
        )
    return url


def shown(url: str) -> str:
    """Return a webhook without its secret parts: "https://discord.com/…"."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}/…"


def request(url: str, message: Message) -> urllib.request.Request:
    """Return the request that tells `message` in the shape of the webhook's service."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    text = f"{message.run}: {message.text}"[:LONGEST]
    headers = {"User-Agent": "kohya-presets"}
    if "ntfy" in host.split("."):
        headers |= {"Content-Type": "text/plain; charset=utf-8", "X-Title": "kohya-presets"}
        if message.event == "failure":
            headers |= {"X-Priority": "high"}
        data = text.encode("utf-8")
    else:
        headers |= {"Content-Type": "application/json"}
        data = json.dumps(_body(host, message, text)).encode("utf-8")
    if parts.username is not None:  # an ntfy server of one's own
        headers |= {"Authorization": _basic(parts)}
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return urllib.request.Request(url, data, headers, method="POST")


class Notices:
    """Sends messages one after another in a thread of its own; without an address, none."""

    def __init__(self, url: str | None, run: str, say: Callable[[str], None]) -> None:
        self._url, self._run, self._say = url, run, say
        self._waiting: queue.Queue[Message | None] = queue.Queue()
        self._failed = False
        self._thread: threading.Thread | None = None
        self._reached: dict[str, int] = {}  # by stage: the last milestone

    def send(self, event: Event, text: str) -> None:
        """Send a message soon; returns at once."""
        if self._url is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._waiting.put(Message(self._run, event, text))

    def step(self, stage: str, done: int, total: int, left: str = "") -> None:
        """Send a milestone where a stage has just reached one; `left` is the time to go."""
        reached = max((m for m in MILESTONES if total and done * 100 >= m * total), default=0)
        before = self._reached.setdefault(stage, reached)  # a run that goes on tells none again
        if reached > before and done < total:
            self._reached[stage] = reached
            more = f", {left} left" if left else ""
            self.send("milestone", f"{stage} {reached} % ({done} of {total} steps{more})")

    def close(self) -> None:
        """Send what is waiting, but no longer than a few seconds."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(LAST_SECONDS)
            self._thread = None

    def _work(self) -> None:
        while (message := self._waiting.get()) is not None:
            self._post(message)

    def _post(self, message: Message) -> None:
        assert self._url is not None
        try:
            with _OPENER.open(request(self._url, message), timeout=SECONDS):
                return
        except urllib.error.HTTPError as error:
            why = f"it answered {error.code}"
            error.close()
        except Exception as error:  # a fault of a webhook must not reach the run
            why = _why(error)
        if not self._failed:
            self._failed = True
            self._say(f"notify: {shown(self._url)} could not be reached ({why}); the run goes on")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it would carry the message to someone else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


def _body(host: str, message: Message, text: str) -> dict[str, Any]:
    if host in _DISCORD:
        return {"content": text, "allowed_mentions": {"parse": []}}
    if host in _SLACK:
        return {"text": text}
    return {"run": message.run, "event": message.event, "text": message.text}


def _basic(parts: urllib.parse.SplitResult) -> str:
    import base64  # seldom needed

    user, password = (urllib.parse.unquote(x or "") for x in (parts.username, parts.password))
    pair = f"{user}:{password}"
    return "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")


def _why(error: Exception) -> str:
    """Return the kind of a failure; its text may contain the address."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"no answer within {SECONDS:g} seconds"
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused"
    return type(reason).__name__
