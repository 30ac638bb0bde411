"""A standard output that its reader has closed, as in `tlnlp recipes | head -1`."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# 128 + SIGPIPE: the exit status that a shell reports for a command ended by SIGPIPE.
STATUS = 141


@contextmanager
def end_quietly() -> Iterator[None]:
    """Exits without a traceback if the reader of standard output has closed it. This must wrap the whole command: it
    flushes Python's buffer, since an error while flushing at exit could not be caught.

    Raises:
        SystemExit: with STATUS.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _is_closed(sys.stdout.fileno()):
            raise  # from another pipe: to a worker, or to a tracker
        # Python flushes its buffer at exit, and would report an error.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        sys.exit(STATUS)


def _is_closed(output: int) -> bool:
    """Returns whether the other end of the pipe is closed."""
    poll = select.poll()
    poll.register(output, 0)  # errors are always reported
    return bool(poll.poll(0))
