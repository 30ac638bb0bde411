"""Output that nobody reads any more, as in `tlnlp recipes | head -1`."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# 128 + SIGPIPE: what a shell says of any command that such a pipe ends.
STATUS = 141


@contextmanager
def end_quietly() -> Iterator[None]:
    """Ends the process without a traceback where standard output has been closed by whoever read it. Goes around all
    that a command does: what is still in Python's buffer is written here, and not as the process ends, where nothing
    can be caught.

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
            raise  # of another pipe: to a worker, or to a tracker
        # Python writes the rest of its buffer as it ends, and would say that it cannot.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        sys.exit(STATUS)


def _is_closed(output: int) -> bool:
    """Whether nobody reads from the other end."""
    poll = select.poll()
    poll.register(output, 0)  # errors are reported unasked
    return bool(poll.poll(0))
