"""Hugging Face datasets: against a server on this machine, and without a network."""

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from course.corpus import hugging_face
from course.corpus.hugging_face import read_dataset
from course.errors import UserError


class Hub(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/api/datasets/owner/known"
        broken = self.path == "/api/datasets/owner/broken"
        self.send_response(200 if known else 500 if broken else 404)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_rows_and_files_are_told_apart_by_the_name(hub, monkeypatch):
    monkeypatch.setattr(hugging_face, "_read_rows", lambda *a: iter([("rows", *a)]))
    monkeypatch.setattr(hugging_face, "_read_file", lambda *a: iter([("file", *a)]))
    assert list(read_dataset("owner/known", "valid", "body")) == [
        ("rows", "owner/known", "valid", "body")
    ]
    assert list(read_dataset("owner/known/data/a.txt.gz")) == [
        ("file", "owner/known", "data/a.txt.gz", False, "text")
    ]


def test_short_names_are_those_of_the_handout():
    for name in hugging_face.SHORT_NAMES.values():
        assert name.count("/") == 2


def test_unknown_dataset(hub):
    with pytest.raises(UserError, match=r"'owner/unknown' is not at .* \(HTTP 404\)"):
        next(read_dataset("owner/unknown"))


def test_broken_server(hub):
    with pytest.raises(UserError, match="HTTP 500"):
        next(read_dataset("owner/broken"))


def test_without_a_network_it_says_so_at_once(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: refused
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    start = time.monotonic()
    with pytest.raises(UserError, match="needs a network"):
        next(read_dataset("tinystories"))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", ["unknown", "owner/", "/name", ""])
def test_bad_name(name):
    with pytest.raises(UserError, match="write owner/name"):
        next(read_dataset(name))
