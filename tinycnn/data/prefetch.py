"""Prefetching: a thread makes the next batches while the training loop works on this one."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")
_PATIENCE = 5.0  # seconds that closing waits for the item being made; a source that hangs must not hang the program


class _Line(Generic[_T]):
    """What the thread and the consumer share: items that are ready, and how it ended."""

    def __init__(self, ahead: int) -> None:
        self.ahead = ahead
        self.ready: deque[_T] = deque()
        self.changed = threading.Condition()
        self.error: BaseException | None = None
        self.finished = False  # the thread will add nothing
        self.closed = False  # the consumer will take nothing

    def wait_for_room(self) -> bool:
        """Wait until an item is wanted; False if none ever will be."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or len(self.ready) < self.ahead)
            return not self.closed

    def put(self, item: _T) -> None:
        with self.changed:
            if not self.closed:
                self.ready.append(item)
                self.changed.notify_all()

    def finish(self, error: BaseException | None) -> None:
        with self.changed:
            self.finished = True
            self.error = None if self.closed else error
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.error = None
            self.ready.clear()
            self.changed.notify_all()


def _work(line: _Line[_T], source: Iterator[_T], prepare: Callable[[], object] | None) -> None:
    """The thread: it knows the line and the source, but not the `Prefetcher`, which can so be dropped."""
    try:
        if prepare is not None:
            prepare()
        while line.wait_for_room():
            try:
                item = next(source)
            except StopIteration:
                break
            line.put(item)
            del item  # the consumer's alone from here on
    except BaseException as error:  # it is the consumer's to handle
        line.finish(error)
    else:
        line.finish(None)


def _close(line: _Line[Any], thread: threading.Thread) -> None:
    line.close()
    if thread is not threading.current_thread():
        thread.join(_PATIENCE)


class Prefetcher(Iterator[_T]):
    """The items of an iterator, made by a thread up to `ahead` of what was taken.

    The thread begins at once, and ends with the last item, with an error, at `close`, when the prefetcher is dropped
    (as a `for` loop does that is left by break or by an exception), or with the program. What the iterator raises is
    raised here, in its place among the items and with its own traceback.

    Args:
        source: gives the items; only the thread uses it.
        ahead: at most so many items wait to be taken.
        timeout: seconds to wait for an item; 0 waits for ever.
        prepare: called first in the thread.

    Raises:
        RuntimeError: from `next`, if there is no item in time.

    Example:
        >>> from tinycnn.data.prefetch import Prefetcher
        >>> list(Prefetcher(iter([1, 2, 3]), ahead=2))
        [1, 2, 3]
    """

    def __init__(
        self, source: Iterator[_T], ahead: int, timeout: float = 0, prepare: Callable[[], object] | None = None
    ) -> None:
        self._line: _Line[_T] = _Line(ahead)
        self._timeout = timeout
        thread = threading.Thread(
            target=_work, args=(self._line, source, prepare), name="tinycnn-prefetch", daemon=True
        )
        self.close = weakref.finalize(self, _close, self._line, thread)  # runs once: by hand, when dropped, or at exit
        thread.start()

    def __next__(self) -> _T:
        line = self._line
        try:
            with line.changed:
                came = line.changed.wait_for(lambda: line.ready or line.finished or line.closed, self._timeout or None)
                if came and line.ready:
                    item = line.ready.popleft()
                    line.changed.notify_all()
                    return item
                error, line.error = line.error, None
        except BaseException:  # Ctrl-C while waiting: its traceback would keep this alive, and so the thread
            self.close()
            raise
        if not came:
            raise RuntimeError(f"DataLoader: no batch was ready after {self._timeout} seconds (timeout)")
        self.close()
        if error is None:
            raise StopIteration
        try:
            raise error
        finally:
            del error  # else this frame and the error would hold each other
