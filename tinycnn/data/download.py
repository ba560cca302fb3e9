"""Fetching published files over HTTP: resumed, verified, and put in place only when whole.

Bytes go to `NAME.part` beside the file to come, so that what was fetched before an interruption is asked for only once
(RFC 9110, section 14, "Range Requests"). The whole is compared with its published size and checksum and then renamed;
a file under its own name is therefore never half there.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http.client import HTTPResponse

Progress = Callable[[int, int | None], None]

_CHUNK = 1 << 16
_LIMIT = 4 << 30  # for a file whose size is not published
_WORTH = 1 << 20  # an attempt that brought so much is not counted against the server
_TRY_AGAIN = (408, 425, 429)  # and every 5xx: HTTP's answers for "not now"


class DownloadError(OSError):
    """A file could not be fetched; the message is one line that names the addresses and what each answered."""


class _RefusedError(Exception):
    """This address will not do; the next may."""


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its name, the addresses that offer it, its size in bytes and its SHA-256."""

    name: str
    urls: tuple[str, ...]
    size: int
    sha256: str

    def fetch(self, folder: Path, progress: Progress | None = None) -> Path:
        """Download it into a folder."""
        return download(self.urls, folder / self.name, sha256=self.sha256, size=self.size, progress=progress)


def fetch_all(files: Sequence[RemoteFile], folder: Path, progress: Progress | None = None) -> None:
    """Download files into a folder; progress counts the bytes of all of them together.

    Raises:
        DownloadError: if one cannot be had.
    """
    total = sum(file.size for file in files)
    before = 0
    for file in files:
        start = before

        def report(done: int, _: int | None, start: int = start) -> None:
            if progress is not None:
                progress(start + done, total)

        file.fetch(folder, report)
        before += file.size


def download(
    urls: str | Sequence[str],
    path: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    attempts: int = 3,
    timeout: float = 20.0,
    pause: float = 1.0,
) -> Path:
    """Fetch a file from the first address that gives it, and return its path.

    A file that is there with the right size and checksum is left as it is (one there is nothing to check against,
    too). A part left by an earlier call is continued where the checksum can tell that it fits. Of several calls for one
    file at once, one fetches and the others wait for it.

    Args:
        urls: one address or several, http or https, tried in turn.
        path: where the file shall be; missing folders are made.
        sha256: the published checksum, in hexadecimal.
        md5: the same, where only that is published.
        size: the published size in bytes; more is never fetched.
        progress: called with the bytes that are there and the total, None if it is unknown.
        attempts: how often an address may fail in a row without bringing a mebibyte.
        timeout: seconds without a byte after which an attempt has failed.
        pause: seconds before the second attempt, doubled before each further one.

    Raises:
        ValueError: if an address is not of http or https.
        DownloadError: if no address gives the file, or it cannot be written.
    """
    path = Path(path)
    addresses = [urls] if isinstance(urls, str) else list(urls)
    for url in addresses:
        if not url.lower().startswith(("http://", "https://")):
            raise ValueError(f"download: addresses must begin with http:// or https://, got {url!r}")
    wanted = _Wanted(size, sha256, md5)
    if path.is_file() and wanted.fault(path) is None:
        return path
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part):
            if path.is_file() and wanted.fault(path) is None:  # another call has brought it meanwhile
                part.unlink()
                return path
            try:
                _fetch_from_any(addresses, part, wanted, _Patience(progress, attempts, timeout, pause))
                os.replace(part, path)
            finally:
                if part.is_file() and (not wanted.has_checksum or not part.stat().st_size):
                    part.unlink()
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(f"cannot write {error.filename or part}: {error.strerror or error}") from None
    return path


@dataclass(frozen=True)
class _Wanted:
    """What is known of the file."""

    size: int | None
    sha256: str | None
    md5: str | None

    @property
    def has_checksum(self) -> bool:
        return self.sha256 is not None or self.md5 is not None

    def fault(self, path: Path) -> str | None:
        """How the file differs from the published one, None if it does not."""
        there = path.stat().st_size
        if self.size is not None and there != self.size:
            return f"it has {there:,} bytes, the published file has {self.size:,}"
        for name, published in (("sha256", self.sha256), ("md5", self.md5)):
            if published is not None:
                with open(path, "rb") as file:
                    found = hashlib.file_digest(file, functools.partial(hashlib.new, name, usedforsecurity=False))
                if found.hexdigest() != published.lower():
                    return f"its {name} is {found.hexdigest()}, the published one is {published}"
        return None


@dataclass(frozen=True)
class _Patience:
    progress: Progress | None
    attempts: int
    timeout: float
    pause: float


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Make the part file, and hold it against other calls, in this process or another, until the block ends.

    The lock is the system's own on the open file, so that it ends with its process. Where there is none (Windows), two
    calls at once may spoil each other's part, which the checksum finds.
    """
    try:
        import fcntl
    except ImportError:
        part.touch()
        yield
        return
    while True:
        with open(part, "ab") as held:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(held, fcntl.LOCK_EX)
            # Whoever held it before has renamed or removed the file of that name: ours may be another one.
            if part.is_file() and os.path.samestat(os.fstat(held.fileno()), part.stat()):
                yield
                return


def _fetch_from_any(addresses: Sequence[str], part: Path, wanted: _Wanted, patience: _Patience) -> None:
    """Make the part the whole file as it was published."""
    answers = []
    for url in addresses:
        if not wanted.has_checksum:
            os.truncate(part, 0)  # nothing could tell whether it is a piece of the same file
        while True:
            inherited = part.stat().st_size
            try:
                _fetch(url, part, wanted, patience)
            except _RefusedError as error:
                answers.append(f"{url}: {error}")
                break
            fault = wanted.fault(part)
            if fault is None:
                return
            os.truncate(part, 0)
            if not inherited:  # else the piece that was there may be of another file: fetch it all
                answers.append(f"{url}: {fault}")
                break
    raise DownloadError(f"cannot download {part.name.removesuffix('.part')}: {'; '.join(answers)}")


def _fetch(url: str, part: Path, wanted: _Wanted, patience: _Patience) -> None:
    """Fetch from one address what the part lacks.

    Raises:
        _RefusedError: if the address does not have it, or has failed too often.
    """
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    validator: str | None = None  # of the version of the file that the part is a piece of
    failures = 0
    while True:
        there = part.stat().st_size
        if wanted.size is not None and there == wanted.size:
            return
        unverifiable = not wanted.has_checksum and validator is None
        if unverifiable or (wanted.size is not None and there > wanted.size):
            os.truncate(part, there := 0)
        headers = {"User-Agent": "tinycnn", "Accept-Encoding": "identity"}
        if there:
            headers["Range"] = f"bytes={there}-"
            if validator:
                headers["If-Range"] = validator  # the whole file instead, if it has changed
        try:
            request = urllib.request.Request(url, headers=headers)
            with urllib.request.urlopen(request, timeout=patience.timeout) as response:
                validator = _validator(response)
                if _receive(response, part, there, wanted, patience.progress):
                    return
                problem = f"the connection ended after {part.stat().st_size:,} bytes"
        except urllib.error.HTTPError as error:
            error.close()
            problem = f"HTTP {error.code} {error.reason}"
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and there:
                os.truncate(part, there := 0)  # it is not that file, or no longer
            elif error.code not in _TRY_AGAIN and error.code < 500:
                raise _RefusedError(problem) from None
        except DownloadError:
            raise
        except (OSError, HTTPException, ValueError) as error:  # ValueError: a header that is no number
            problem = _in_one_line(error, patience.timeout)
        failures = failures + 1 if part.stat().st_size - there < _WORTH else 0
        if failures >= patience.attempts:
            raise _RefusedError(problem)
        time.sleep(patience.pause * 2 ** max(failures - 1, 0))


def _validator(response: HTTPResponse) -> str | None:
    """What tells this version of the file from others: its strong ETag, else its date."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _receive(response: HTTPResponse, part: Path, there: int, wanted: _Wanted, progress: Progress | None) -> bool:
    """Write a response into the part; returns whether the file is whole.

    Raises:
        _RefusedError: if it is no file, or larger than it may be.
        DownloadError: if it cannot be written.
    """
    length = response.headers.get("Content-Length")
    remaining = None if length is None else int(length)
    start = 0
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if found is None or int(found[1]) != there:
            os.truncate(part, 0)
            return False
        start = there
        if found[2] != "*":
            remaining = int(found[2]) - start  # to the end of the file, of which this may be a part only
    elif response.status != HTTPStatus.OK:
        raise _RefusedError(f"HTTP {response.status} {response.reason}")
    total = wanted.size if remaining is None else start + remaining
    limit = _LIMIT if wanted.size is None else wanted.size
    if total is not None and (total > limit or wanted.size not in (None, total)):
        expected = f"at most {limit:,}" if wanted.size is None else f"{limit:,}"
        raise _RefusedError(f"the server offers {total:,} bytes, expected {expected}")
    done = start
    with open(part, "r+b") as file:
        file.truncate(start)
        file.seek(start)
        while True:
            if progress is not None:
                progress(done, total)
            chunk = response.read1(_CHUNK)
            if not chunk:
                break
            if done + len(chunk) > limit:
                raise _RefusedError(f"the server sends more than {limit:,} bytes")
            try:
                file.write(chunk)
            except OSError as error:
                raise DownloadError(f"cannot write {part}: {error.strerror}") from None
            done += len(chunk)
    return total is None or done == total


def _in_one_line(error: Exception, timeout: float) -> str:
    reason = getattr(error, "reason", error)  # an URLError's
    if isinstance(reason, TimeoutError):
        return f"no answer for {timeout:g} s"
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(text.split())
