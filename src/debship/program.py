"""The `debship` command as a program of its own: what begins before all is loaded, and how it ends."""

import gc
import os
import sys


def program() -> None:
    """Run the command line, and end at once.

    Before it ended Python would take apart all that it loaded, and while it loads it would look
    for garbage again and again: a fifth of the time of a small publication.
    """
    gc.set_threshold(100_000, 50, 50)
    from debship.cli.main import main

    code: object = 0
    try:
        main()
    except SystemExit as done:
        code = done.code
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it, or it is closed
            continue
    os._exit(code if isinstance(code, int) else int(code is not None))
