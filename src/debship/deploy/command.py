"""The commands that a host is given: quoted, their input received whole, a file written. Pure."""

import shlex
from collections.abc import Sequence


def command_line(words: Sequence[str]) -> str:
    """Quote words for whatever shell the user has there: within single quotes, fish reads backslashes."""
    return shlex.join(words).replace("\\", "'\\\\'")


# The new file, as it is to be, beside the one that it replaces. What it holds travels on standard
# input, never on a command line. Arguments: PATH OWNER GROUP MODE
BESIDE = """set -eu
umask 077
mkdir -p -m 0755 -- "$(dirname -- "$1")"
new=$(mktemp -- "$1.XXXXXX")
trap 'rm -f -- "$new"' EXIT
cat > "$new"
chown -- "$2:$3" "$new"
chmod -- "$4" "$new"
"""
# Renamed: a reader sees the old file or the new one. A folder of that name is refused (-T): the file
# would be put into it.
_PUT = f"""{BESIDE}sync -- "$new"
mv -fT -- "$new" "$1"
"""


def put_words(path: str, owner: str, group: str, mode: int) -> tuple[str, ...]:
    """Make the command that writes its standard input to a file, atomically."""
    return ("sh", "-c", _PUT, "debship-put", path, owner, group, f"{mode:04o}")


# What a program reads is announced by its length and received before the program begins: a link lost
# halfway looks like the end of input to who reads it, and half a file would be put in place; and a
# roller that was stopped (a closed laptop) would hold a host for as long as its connection lives.
_RECEIVE = """umask 077
input=$(mktemp -p /dev/shm debship.XXXXXX) || exit 74
trap 'rm -f -- "$input"' EXIT
timeout "$2" head -c "$1" > "$input"
[ "$(wc -c < "$input")" -eq "$1" ] || { echo "debship: the input did not come whole" >&2; exit 74; }
exec < "$input"
rm -f -- "$input"
trap - EXIT
shift 2
exec "$@"
"""
RECEIVING = 60.0  # seconds that a host waits for what a program is to read


def received(argv: Sequence[str], size: int, within: float = RECEIVING) -> tuple[str, ...]:
    """Make the command that runs another once all of its input is there.

    Args:
        argv: it; not run where the input does not come whole (exit code 74).
        size: of the input, in bytes. It lies in memory (/dev/shm), nameless once it is whole.
        within: seconds that are waited for it.
    """
    return ("sh", "-c", _RECEIVE, "debship-receive", str(size), f"{within:g}", *argv)


# What a host must be able to do before anything can be asked of it. The line's break is one that
# every other line of ours has, and that not every shell reads.
_PROOF = """:
"$@"
"""


def proof(argv: Sequence[str]) -> tuple[str, ...]:
    """Make the command that runs another through all that every command of ours goes through."""
    return ("sh", "-c", _PROOF, "debship-proof", *argv)
