"""The `debship` command as a program of its own: what begins before all is loaded, and how it ends."""

import gc
import importlib.util
import os
import sys
import threading
from typing import Any


def program() -> None:
    """Run the command line, and end at once.

    Before it ended Python would take apart all that it loaded, and while it loads it would look
    for garbage again and again: a fifth of the time of a small publication.
    """
    gc.set_threshold(100_000, 50, 50)
    sys.setswitchinterval(0.0005)  # seconds; who waits for gpg or a store asks for little between
    when_asked_for("inspect")  # click needs it to print help, and it takes half of click's time
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


def when_asked_for(name: str) -> None:
    """Let a module be imported now, and be loaded as something of it is asked for (PEP 562).

    importlib.util.LazyLoader would do, but for `import` itself: up to Python 3.12 that asks a
    module for something.
    """
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    module, loader = importlib.util.module_from_spec(spec), spec.loader
    lock, begun = threading.RLock(), list[str]()

    def ask(attribute: str) -> Any:
        with lock:  # who asks meanwhile waits until it is whole
            if not begun:
                begun.append(attribute)
                loader.exec_module(module)
                del module.__dict__["__getattr__"]
        try:
            return module.__dict__[attribute]
        except KeyError:
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}") from None

    module.__dict__["__getattr__"] = ask
    sys.modules[name] = module
