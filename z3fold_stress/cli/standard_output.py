"""Standard output that loses nothing: what it refuses (a full disk) goes to standard error, said
once, and the command goes on to its own exit status.  A reader that went away is another matter.
"""

from __future__ import annotations

import io
import os
import sys

__all__ = ["keep_output"]


class _Kept(io.FileIO):
    """The file under standard output, with another one to turn to."""

    refused = False

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if not self.refused:
            try:
                return super().write(data)
            except BrokenPipeError:
                raise
            except OSError as error:
                self.refused = True
                os.write(2, f"warning: standard output cannot be written ({error.strerror}): the "
                         "rest is told here\n".encode())  # fmt: skip
        return os.write(2, data)


def keep_output() -> None:
    """From here on; where standard output is not a file of its own (in tests) nothing changes."""
    old = sys.stdout
    try:
        if not isinstance(old, io.TextIOWrapper) or old.fileno() != 1:
            return
        old.flush()
    except (OSError, ValueError):
        return
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Kept(1, "wb", closefd=False)),
        encoding=old.encoding,
        errors=old.errors,
        line_buffering=old.line_buffering,
    )
