"""Downloads from a server on this machine that answers as servers do, and as they should not."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import re
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinycnn import data
from tinycnn.data.download import DownloadError, RemoteFile, download, fetch_all

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Server:
    """Serves `content` at every path, unless `misbehave(handler, number of the request)` answers and returns True."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.etag: str | None = '"v1"'
        self.ranges = True
        self.misbehave: Callable[[Any, int], bool | None] = lambda handler, number: False
        self.requests: list[tuple[str, str | None]] = []  # path and range asked for
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, self.headers["Range"]))
                if not outer.misbehave(self, len(outer.requests)):
                    outer.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda request, client: None  # a client that has had enough is no news
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/file.bin"

    def answer(self, handler: Any, cut: int | None = None, length: bool = True) -> None:
        """The file or the range asked for, the connection closed after `cut` bytes of it."""
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "")
        unchanged = handler.headers["If-Range"] in (None, self.etag)
        if asked and self.ranges and unchanged:
            start = int(asked[1])
            if start >= len(self.content):
                handler.send_error(416)
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        else:
            handler.send_response(200)
        if length:
            handler.send_header("Content-Length", str(len(self.content) - start))
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.end_headers()
        end = len(self.content) if cut is None else start + cut
        handler.wfile.write(self.content[start:end])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "file.bin"


def get(server: Server, path: Path, **options: Any) -> Path:
    return download(server.url, path, **{"sha256": SHA256, "size": len(CONTENT), "pause": 0, **options})


def left(path: Path) -> list[str]:
    """The names of the files in the folder."""
    return sorted(p.name for p in path.parent.iterdir())


# ---- what goes well -------------------------------------------------------------------------------------------------


def test_a_file_arrives(server: Server, path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    assert get(server, path, progress=lambda done, total: seen.append((done, total))) == path
    assert path.read_bytes() == CONTENT
    assert left(path) == ["file.bin"]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert server.requests == [("/file.bin", None)]


def test_a_file_that_is_right_is_left_alone(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    before = path.stat()
    for known in ({}, {"sha256": None, "md5": MD5.upper()}, {"sha256": None, "size": None}):
        assert get(server, path, **known) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert server.requests == []


def test_a_file_that_is_wrong_is_replaced_once_the_right_one_is_here(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"old")
    server.misbehave = lambda handler, number: handler.send_error(404) or True
    with pytest.raises(DownloadError):
        get(server, path)
    assert path.read_bytes() == b"old"
    server.misbehave = lambda handler, number: False
    get(server, path)
    assert path.read_bytes() == CONTENT


def test_nothing_need_be_known_of_a_file(server: Server, path: Path) -> None:
    server.misbehave = lambda handler, number: server.answer(handler, length=False) or True
    totals = set()
    get(server, path, sha256=None, size=None, progress=lambda done, total: totals.add(total))
    assert path.read_bytes() == CONTENT
    assert totals == {None}


def test_files_are_counted_together(server: Server, tmp_path: Path) -> None:
    files = [RemoteFile(name, (server.url,), len(CONTENT), SHA256) for name in ("a", "b")]
    seen: list[tuple[int, int | None]] = []
    fetch_all(files, tmp_path, lambda done, total: seen.append((done, total)))
    assert [(tmp_path / name).read_bytes() == CONTENT for name in ("a", "b")] == [True, True]
    assert seen[-1] == (6_000_000, 6_000_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


# ---- resuming -------------------------------------------------------------------------------------------------------


def test_an_interrupted_download_is_resumed_by_the_next(server: Server, path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, path, progress=stop)
    assert left(path) == ["file.bin.part"]
    there = (path.parent / "file.bin.part").stat().st_size
    assert there > 1_000_000
    get(server, path)
    assert server.requests[1] == ("/file.bin", f"bytes={there}-")
    assert path.read_bytes() == CONTENT
    assert left(path) == ["file.bin"]


def test_without_a_checksum_nothing_is_left_to_resume(server: Server, path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, path, sha256=None, progress=stop)
    assert left(path) == []


@pytest.mark.parametrize("known", [{}, {"sha256": None, "size": None}], ids=["checksum", "nothing known"])
def test_a_connection_that_breaks_is_taken_up_again(server: Server, path: Path, known: dict[str, Any]) -> None:
    server.misbehave = lambda handler, number: number < 3 and (server.answer(handler, cut=1_000_000) or True)
    get(server, path, **known)
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=1000000-", "bytes=2000000-"]


def test_a_server_without_ranges_starts_again(server: Server, path: Path) -> None:
    server.ranges = False
    server.misbehave = lambda handler, number: number == 1 and (server.answer(handler, cut=10) or True)
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=10-"]


@pytest.mark.parametrize("known", [{}, {"sha256": None, "size": None}], ids=["checksum", "nothing known"])
def test_a_file_that_changes_midway_is_fetched_anew(server: Server, path: Path, known: dict[str, Any]) -> None:
    def change(handler: Any, number: int) -> bool:
        if number == 1:
            server.content, server.etag = bytes(len(CONTENT)), '"v0"'
            server.answer(handler, cut=1_500_000)
            server.content, server.etag = CONTENT, '"v1"'
        return number == 1

    server.misbehave = change
    get(server, path, **known)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("part", [bytes(100), bytes(3_000_000), bytes(3_000_001)], ids=["short", "whole", "long"])
def test_a_part_of_something_else_does_not_stay(server: Server, path: Path, part: bytes) -> None:
    path.parent.mkdir()
    (path.parent / "file.bin.part").write_bytes(part)
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert left(path) == ["file.bin"]


def test_a_range_that_cannot_be_is_asked_for_no_more(server: Server, path: Path) -> None:
    path.parent.mkdir()
    (path.parent / "file.bin.part").write_bytes(CONTENT + b"more")
    get(server, path, size=None)
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == ["bytes=3000004-", None]


def test_a_piece_is_not_taken_for_the_file(server: Server, path: Path) -> None:
    """Nothing is known of the file, and the server sends less than it was asked for, with its true length."""

    def piece(handler: Any, number: int) -> bool:
        start = 0 if number == 1 else int(re.findall(r"\d+", handler.headers["Range"])[0])
        end = min(start + len(CONTENT) // 2 + 1, len(CONTENT))
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(CONTENT)}")
        handler.send_header("Content-Length", str(end - start))
        handler.send_header("ETag", '"v1"')
        handler.end_headers()
        handler.wfile.write(CONTENT[start:end])
        return True

    server.misbehave = piece
    assert get(server, path, sha256=None, size=None).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_wrong_range_is_not_taken(server: Server, path: Path) -> None:
    def shifted(handler: Any, number: int) -> bool:
        if number > 1:
            return False
        handler.send_response(206)
        handler.send_header("Content-Range", "bytes 0-2999999/3000000")
        handler.send_header("Content-Length", "3000000")
        handler.end_headers()
        handler.wfile.write(CONTENT)
        return True

    path.parent.mkdir()
    (path.parent / "file.bin.part").write_bytes(CONTENT[:50])
    server.misbehave = shifted
    get(server, path)
    assert path.read_bytes() == CONTENT


# ---- what goes wrong ------------------------------------------------------------------------------------------------


def failure(server: Server, path: Path, **options: Any) -> str:
    with pytest.raises(DownloadError) as caught:
        get(server, path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("cannot download file.bin: http://127.0.0.1:")
    assert not path.exists()
    return message


def test_an_answer_without_a_file_is_none(server: Server, path: Path) -> None:
    def nothing(handler: Any, number: int) -> bool:
        handler.send_response(204)
        handler.end_headers()
        return True

    server.misbehave = nothing
    assert "HTTP 204 No Content" in failure(server, path, sha256=None, size=None)
    assert len(server.requests) == 1


def test_what_is_not_there_is_not_asked_for_twice(server: Server, path: Path) -> None:
    server.misbehave = lambda handler, number: handler.send_error(404) or True
    assert failure(server, path).endswith("/file.bin: HTTP 404 Not Found")
    assert len(server.requests) == 1
    assert left(path) == []


def test_a_server_that_is_busy_is_asked_again(server: Server, path: Path) -> None:
    server.misbehave = lambda handler, number: number < 3 and (handler.send_error(503) or True)
    get(server, path)
    assert path.read_bytes() == CONTENT
    path.unlink()
    server.misbehave = lambda handler, number: handler.send_error(503) or True
    assert "HTTP 503 Service Unavailable" in failure(server, path, attempts=2)
    assert len(server.requests) == 5


def test_another_file_is_not_taken(server: Server, path: Path) -> None:
    server.content = bytes(len(CONTENT))
    message = failure(server, path)
    assert f"its sha256 is {hashlib.sha256(server.content).hexdigest()}, the published one is {SHA256}" in message
    assert left(path) == []
    assert f"the published one is {MD5}" in failure(server, path, sha256=None, md5=MD5)
    assert len(server.requests) == 2


@pytest.mark.parametrize("length", [True, False])
def test_more_than_was_published_is_not_fetched(server: Server, path: Path, length: bool) -> None:
    server.content = CONTENT + bytes(40_000_000)
    server.misbehave = lambda handler, number: server.answer(handler, length=length) or True
    message = failure(server, path)
    assert ("offers 43,000,000 bytes, expected 3,000,000" if length else "sends more than 3,000,000 bytes") in message


def test_a_connection_that_keeps_breaking_is_given_up(server: Server, path: Path) -> None:
    server.misbehave = lambda handler, number: server.answer(handler, cut=10) or True
    assert "the connection ended after 30 bytes" in failure(server, path)
    assert len(server.requests) == 3
    assert left(path) == ["file.bin.part"]


def test_a_file_that_vanishes_midway(server: Server, path: Path) -> None:
    server.misbehave = lambda handler, number: (
        (server.answer(handler, cut=1_000_000) if number == 1 else handler.send_error(404)) or True
    )
    assert "HTTP 404" in failure(server, path)
    server.misbehave = lambda handler, number: False
    get(server, path)
    assert server.requests[-1][1] == "bytes=1000000-"


def test_a_server_that_says_nothing(server: Server, path: Path) -> None:
    release = threading.Event()
    server.misbehave = lambda handler, number: release.wait(10) or True
    assert "no answer for 0.05 s" in failure(server, path, timeout=0.05, attempts=2)
    release.set()
    assert len(server.requests) == 2


def test_a_server_that_speaks_no_http(server: Server, path: Path) -> None:
    server.misbehave = lambda handler, number: handler.wfile.write(b"hello\r\n\r\n")
    assert "hello" in failure(server, path)
    server.misbehave = lambda handler, number: handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: many\r\n\r\n")
    assert "many" in failure(server, path)


def test_no_server(path: Path) -> None:
    with pytest.raises(DownloadError, match=r"cannot download file.bin: http://127.0.0.1:1/x: Connection refused$"):
        download("http://127.0.0.1:1/x", path, pause=0)


def test_mirrors_are_tried_in_turn(server: Server, path: Path) -> None:
    server.misbehave = lambda handler, number: handler.path == "/gone" and (handler.send_error(410) or True)
    gone = server.url.replace("file.bin", "gone")
    download([gone, server.url], path, sha256=SHA256, pause=0)
    assert path.read_bytes() == CONTENT
    path.unlink()
    with pytest.raises(DownloadError, match=r"/gone: HTTP 410 Gone; http://127.0.0.1:1/: Connection refused"):
        download([gone, "http://127.0.0.1:1/"], path, sha256=SHA256, pause=0)


def test_a_mirror_with_another_file_spoils_nothing(server: Server, path: Path) -> None:
    def bad(handler: Any, number: int) -> bool:
        if handler.path == "/bad":
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(bytes(1_000_000))
        return handler.path == "/bad"

    server.misbehave = bad
    download([server.url.replace("file.bin", "bad"), server.url], path, sha256=SHA256, size=len(CONTENT), pause=0)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/x", "example.org/x"])
def test_only_http(path: Path, url: str) -> None:
    with pytest.raises(ValueError, match="must begin with http:// or https://"):
        download(url, path)


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot write .*file: (File exists|Not a directory)"):
        download(server.url, tmp_path / "file" / "file.bin", pause=0)
    (tmp_path / "folder.part").mkdir()
    with pytest.raises(DownloadError, match=r"cannot write .*folder.part: Is a directory"):
        download(server.url, tmp_path / "folder", pause=0)


def test_two_downloads_at_once(server: Server, path: Path) -> None:
    pytest.importorskip("fcntl", reason="needs the system's locks on files")
    second = threading.Event()

    def wait_for_the_second(handler: Any, number: int) -> bool:
        second.wait(0.2)  # the first is kept until the second is on its way
        return False

    server.misbehave = wait_for_the_second
    results: list[Path] = []
    threads = [threading.Thread(target=lambda: results.append(get(server, path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [path] * 4
    assert path.read_bytes() == CONTENT
    assert left(path) == ["file.bin"]
    assert len(server.requests) == 1


# ---- data sets ------------------------------------------------------------------------------------------------------


def small_fashion(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Serve a Fashion-MNIST of 7 and 3 images and take it for the published one."""
    contents = {}
    for part, n in (("train", 7), ("t10k", 3)):
        images = np.random.default_rng(n).bytes(n * 784)
        contents[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(struct.pack(">IIII", 0x803, n, 28, 28) + images)
        contents[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(struct.pack(">II", 0x801, n) + bytes(range(n)))

    def serve(handler: Any, number: int) -> bool:
        server.content = contents[handler.path[1:]]
        return False

    server.misbehave = serve
    base = server.url.removesuffix("file.bin")
    files = tuple(
        RemoteFile(name, (base + name,), len(content), hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    )
    monkeypatch.setattr(data.FashionMNIST, "files", files)
    monkeypatch.setattr(data.FashionMNIST, "sizes", {"train": 7, "t10k": 3})
    return contents


def test_a_data_set_is_downloaded_once(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = small_fashion(server, monkeypatch)
    monkeypatch.delenv("TINYCNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"--download \(download=True\) fetches"):
        data.load("fashion-mnist")
    seen: list[tuple[int, int | None]] = []
    train, test = data.load("fashion-mnist", download=True, progress=lambda *now: seen.append(now))
    assert (len(train), len(test)) == (7, 3)
    total = sum(map(len, contents.values()))
    assert (seen[0], seen[-1]) == ((0, total), (total, total))
    folder = tmp_path / "tinycnn" / "data" / "fashion-mnist"
    assert sorted(p.name for p in folder.iterdir()) == sorted(contents)
    data.load("fashion-mnist", download=True)
    data.FashionMNIST(download=True)
    assert len(server.requests) == 4


def test_only_what_is_missing_is_downloaded(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = small_fashion(server, monkeypatch)
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(gzip.decompress(contents["train-images-idx3-ubyte.gz"]))
    data.load("fashion-mnist", tmp_path, download=True)
    assert sorted(path[1:] for path, _ in server.requests) == sorted(set(contents) - {"train-images-idx3-ubyte.gz"})


def test_a_damaged_file_is_not_replaced_but_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_fashion(server, monkeypatch)
    data.load("fashion-mnist", tmp_path, download=True)
    damaged = tmp_path / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte.gz: not an IDX .*; to download it again, remove it"):
        data.load("fashion-mnist", tmp_path, download=True)
    assert damaged.read_bytes() == b"mine"


def test_what_cannot_be_downloaded_is_said(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_fashion(server, monkeypatch)
    server.misbehave = lambda handler, number: handler.send_error(403) or True
    with pytest.raises(DownloadError, match=r"HTTP 403 Forbidden; check the network, or get train-images") as caught:
        data.load("fashion-mnist", tmp_path, download=True)
    assert f"from https://github.com/zalandoresearch/fashion-mnist into {tmp_path / 'fashion-mnist'}" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


def test_what_is_known_of_the_published_files() -> None:
    for kind in (data.FashionMNIST, data.MNIST):
        assert [file.name.partition("-")[0] for file in kind.files] == ["train", "train", "t10k", "t10k"]
    for file in (*data.FashionMNIST.files, *data.MNIST.files, data.CIFAR10.archive, data.CIFAR100.archive):
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert all(url.endswith("/" + file.name) for url in file.urls)
