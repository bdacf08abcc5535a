"""The `debship` command: finds the command's file, imports that alone, and shows errors."""

import importlib
import importlib.util
import io
import os
import sys

import click

from debship import __version__
from debship.cli.output import show_error
from debship.errors import DebshipError, Failed, Misused

# name -> what `debship --help` says of it; its file is imported only when it is called.
_COMMANDS = {
    "init": "Answer the five questions; write debship.toml.",
    "build": "Turn an application and its lock into a .deb.",
    "cache": "Show, bound or clear what builds keep for later ones.",
    "inspect": "Show what is inside a .deb, wheel by wheel.",
    "diff": "Show what changed between two .debs.",
    "publish": "Put .debs into a signed apt repository.",
    "repo": "Make, look at and verify a repository.",
    "image": "Make a container image from a .deb.",
    "lab": "Boot real Debian hosts on this machine, to rehearse on.",
    "doctor": "Say what this machine lacks, and what installs it.",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in _COMMANDS if importlib.util.find_spec(f"debship.cli.{name}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = f"debship.cli.{cmd_name}"
        if cmd_name not in _COMMANDS or not importlib.util.find_spec(name):
            return None
        module = importlib.import_module(name)
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, _COMMANDS[name]) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="debship")
def cli() -> None:
    """Build a Python service into a .deb, publish it, and rehearse its roll-out.

    The roll itself is `fab deploy --app APP`.
    """


def main() -> None:
    """Run the command line; exit with the code that the error knows."""
    if sys.stdout is None:  # closed (`debship ... >&-`): nobody asks for a result
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - as below; open to the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding has no letters for is no reason to stop.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = cli(standalone_mode=False)  # a command's context.exit() comes back as its code
        sys.stdout.flush()
        if code:
            sys.exit(code)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except click.ClickException as error:
        _show_misuse(error)
        sys.exit(error.exit_code)
    except DebshipError as error:
        show_error(error)
        sys.exit(error.exit_code)
    except FileNotFoundError:
        if _is_somewhere():
            raise
        show_error(Misused("the folder that this was called in is gone", "cd to another"))
        sys.exit(Misused.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (`debship ... | head`): nothing to say, nobody to hear.
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        if not _is_unwritable():
            raise
        told = f"what this printed could not be written: {error.strerror}"
        show_error(Failed(told, "all else is done; print it to where there is room"))
        sys.exit(Failed.exit_code)


def _show_misuse(error: click.ClickException) -> None:
    if type(error).__name__ == "NoArgsIsHelpError":  # of click 8.2 and later: the help itself
        error.show()
        return
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help" if context else None
    show_error(Misused(error.format_message().rstrip("."), hint))


def _is_unwritable() -> bool:
    """See whether stdout takes nothing: a full disk, /dev/full."""
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def _is_somewhere() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - a Path has to be loaded first
    except FileNotFoundError:
        return False
    return True
