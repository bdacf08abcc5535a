"""What the `debship` command loads before it knows what it is asked for."""

import os
import subprocess
import sys
from pathlib import Path


def told(script: str) -> str:
    """Run Python with nothing loaded but what the script loads."""
    argv = [sys.executable, "-c", f"import sys\nfrom debship import program\n{script}"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def test_a_module_is_loaded_when_something_of_it_is_asked_for() -> None:
    script = """\
program.when_asked_for("inspect")
import inspect, click
print("ast" in sys.modules, inspect.cleandoc("  a"), "ast" in sys.modules, "__getattr__" in vars(inspect))
from inspect import signature
try: inspect.nothing
except AttributeError as error: print(error)
"""
    assert told(script).splitlines() == [
        "False a True False",
        "module 'inspect' has no attribute 'nothing'",
    ]


def test_threads_that_ask_for_it_at_once_all_get_it() -> None:
    script = """\
import threading
sys.setswitchinterval(1e-6)
program.when_asked_for("inspect")
import inspect
start, found = threading.Barrier(8), []
def ask():
    start.wait()
    found.append(inspect.unwrap)  # stands at the end of a long file
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), len(set(found)))
"""
    assert told(script) == "8 1"


def called(*words: str, **env: str) -> tuple[int, str, str]:
    argv = [Path(sys.executable).parent / "debship", *words]
    done = subprocess.run(
        argv, check=False, capture_output=True, text=True, env={**os.environ, **env}
    )
    return done.returncode, done.stdout, done.stderr


def test_a_command_s_own_code_is_that_of_the_program() -> None:
    code, out, _ = called("doctor", "publish", PATH="/nowhere")
    assert "lacks gpg" in out
    assert code == 1


def test_nothing_asked_is_answered_with_the_help() -> None:
    for words in ((), ("repo",)):
        code, out, err = called(*words)
        assert code == 2
        assert out == ""
        assert err.startswith(f"Usage: {' '.join(('debship', *words))} [OPTIONS] COMMAND")
        assert "hint:" not in err


def test_what_is_loaded_already_stays() -> None:
    script = """\
import inspect
program.when_asked_for("inspect")
program.when_asked_for("no_such_module")
print(inspect is sys.modules["inspect"], "no_such_module" in sys.modules)
"""
    assert told(script) == "True False"
