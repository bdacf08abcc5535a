"""The application's own opinion of a managed file, asked before the file is put in place."""

from collections.abc import Sequence

from debship.config.fleet import NEW_FILE
from debship.deploy.command import BESIDE
from debship.deploy.configuration import RenderedFile
from debship.deploy.host import Host
from debship.deploy.installation import StepFailed

# The new file lies beside the old one for as long as it is judged, as it will lie there.
_CHECK = f"""{BESIDE}word=$5
shift 5
left=$#
while [ "$left" -gt 0 ]; do
    part=$1
    shift
    if [ "$part" = "$word" ]; then part=$new; fi
    set -- "$@" "$part"
    left=$((left - 1))
done
"$@" < /dev/null
"""


def check_words(
    path: str, owner: str, group: str, mode: int, check: Sequence[str]
) -> tuple[str, ...]:
    """Make the command that judges its standard input as a file."""
    about = (path, owner, group, f"{mode:04o}", NEW_FILE)
    return ("sh", "-c", _CHECK, "debship-check-file", *about, *check)


def check_files(host: Host, files: Sequence[RenderedFile]) -> None:
    """Let the application judge files that it has a check for; nothing is put in place.

    Raises:
        StepFailed: it does not want one; the log is what it said, and may hold a secret.
    """
    for file in files:
        if not file.check:
            continue
        words = check_words(file.path, file.owner, file.group, file.mode, file.check)
        answer = host.run(words, stdin=file.content.reveal().encode(), timeout=60)
        if answer.returncode:
            raise StepFailed(
                f"{host.address}: {file.check[0]} refuses the new {file.path} "
                f"(it exited with {answer.returncode})",
                answer.complaint,
            )
