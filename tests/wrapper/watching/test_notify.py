from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kohya_presets.errors import UserError
from wrapper.system import paths, proc
from wrapper.watching import notify
from wrapper.watching.notify import Message, Notices

TOPIC = "my-very-secret-topic"


class Server:
    """A webhook: it keeps what it got, and answers with `code` after `delay` seconds."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], str]] = []
        self.code, self.delay = 200, 0.0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8")
                server.got.append((self.path, dict(self.headers), body))
                time.sleep(server.delay)
                self.send_response(server.code)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/{TOPIC}"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def body(url: str, event: Any = "end") -> tuple[dict[str, str], str]:
    made = notify.request(url, Message("korra", event, "it is done ✓"))
    assert isinstance(made.data, bytes)
    return dict(made.header_items()), made.data.decode("utf-8")


@pytest.mark.parametrize("host", ["ntfy.sh", "ntfy.example.org"])
def test_ntfy_gets_plain_text_and_a_failure_is_urgent(host: str) -> None:
    headers, text = body(f"https://{host}/{TOPIC}")
    assert text == "korra: it is done ✓"
    assert headers["Content-type"].startswith("text/plain")
    assert "X-priority" not in headers
    assert body(f"https://{host}/{TOPIC}", "failure")[0]["X-priority"] == "high"


def test_each_service_gets_its_shape() -> None:
    _, text = body("https://discord.com/api/webhooks/123/abc")
    assert json.loads(text)["content"] == "korra: it is done ✓"
    _, text = body("https://hooks.slack.com/services/T0/B0/xyz")
    assert json.loads(text) == {"text": "korra: it is done ✓"}
    headers, text = body("https://example.org/hook")
    assert json.loads(text) == {"run": "korra", "event": "end", "text": "it is done ✓"}
    assert headers["Content-type"] == "application/json"


def test_a_password_of_the_address_is_sent_as_one() -> None:
    made = notify.request("https://me:p%40ss@ntfy.example.org/topic", Message("a", "end", "b"))
    assert made.full_url == "https://ntfy.example.org/topic"
    assert made.get_header("Authorization") == "Basic bWU6cEBzcw=="


def test_discord_takes_no_more_than_2000_letters() -> None:
    made = notify.request("https://discord.com/api/webhooks/1/a", Message("a", "end", "b" * 9000))
    assert isinstance(made.data, bytes)
    assert len(json.loads(made.data)["content"]) <= 2000


def test_messages_arrive_in_order(server: Server) -> None:
    said: list[str] = []
    notices = Notices(server.url, "korra", said.append)
    notices.send("start", "started")
    for done in range(0, 101):
        notices.step("train", done, 100, "1:00")
    notices.send("end", "finished")
    notices.close()
    texts = [json.loads(text)["text"] for _, _, text in server.got]
    assert texts == [
        "started",
        "train 25 % (25 of 100 steps, 1:00 left)",
        "train 50 % (50 of 100 steps, 1:00 left)",
        "train 75 % (75 of 100 steps, 1:00 left)",
        "finished",
    ]
    assert said == []


def test_a_run_that_goes_on_tells_no_milestone_twice(server: Server) -> None:
    notices = Notices(server.url, "korra", print)
    for done in range(60, 80):
        notices.step("train", done, 100)
    notices.close()
    assert [json.loads(text)["text"] for _, _, text in server.got] == [
        "train 75 % (75 of 100 steps)"
    ]


@pytest.mark.parametrize("code", [302, 404, 500])
def test_one_that_fails_is_said_once_without_its_address(server: Server, code: int) -> None:
    server.code = code
    said: list[str] = []
    notices = Notices(server.url, "korra", said.append)
    for _ in range(3):
        notices.send("milestone", "…")
    notices.close()
    assert len(server.got) == 3  # no redirection was followed
    assert said == [
        f"notify: http://127.0.0.1/… could not be reached (it answered {code}); the run goes on"
    ]


def test_one_that_is_not_there_is_said_too(server: Server) -> None:
    url = server.url
    server.http.shutdown()
    server.http.server_close()
    said: list[str] = []
    notices = Notices(url, "korra", said.append)
    notices.send("start", "…")
    notices.close()
    assert "could not be reached (connection refused)" in said[0]
    assert TOPIC not in said[0]


def test_a_slow_one_delays_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "SECONDS", 0.3)
    monkeypatch.setattr(notify, "LAST_SECONDS", 0.5)
    server.delay = 2.0
    said: list[str] = []
    notices = Notices(server.url, "korra", said.append)
    started = time.monotonic()
    for _ in range(100):
        notices.send("milestone", "…")
    assert time.monotonic() - started < 0.2
    notices.close()
    assert time.monotonic() - started < 1.5
    assert "no answer within 0.3 seconds" in said[0]


def test_without_an_address_nothing_is_started() -> None:
    before = threading.active_count()
    notices = Notices(None, "korra", print)
    notices.send("start", "…")
    notices.step("train", 50, 100)
    notices.close()
    assert threading.active_count() == before


def test_the_address_is_of_the_option_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {paths.NOTIFY_VARIABLE: "https://ntfy.sh/of-the-environment"}
    assert notify.address(None, {}) is None
    assert notify.address(None, environ) == "https://ntfy.sh/of-the-environment"
    assert notify.address("https://ntfy.sh/given", environ) == "https://ntfy.sh/given"
    assert notify.address("", environ) is None  # switched off for this run


@pytest.mark.parametrize("wrong", ["ntfy.sh/secret", "ftp://a/secret", "https://", "https://a:b/"])
def test_what_is_no_address_is_refused_without_being_shown(wrong: str) -> None:
    with pytest.raises(UserError) as error:
        notify.address(wrong, {})
    assert "expected --notify with a URL" in str(error.value)
    assert "secret" not in f"{error.value} {error.value.hint}"


def test_no_child_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(paths.NOTIFY_VARIABLE, f"https://ntfy.sh/{TOPIC}")
    monkeypatch.setenv("WANDB_API_KEY", "for the trainer")
    assert TOPIC not in str(proc.environ())
    assert proc.environ()["WANDB_API_KEY"] == "for the trainer"
    assert TOPIC in os.environ[paths.NOTIFY_VARIABLE]
