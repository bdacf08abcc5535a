"""`debship build --verify` and `--lint`: what is asked of a package once it is built."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debship.cli.cache import cache_folder
from debship.cli.output import Say
from debship.errors import Failed

if TYPE_CHECKING:
    from debship.build.plan import BuildPlan
    from debship.model import Deb


def verify(
    plan: "BuildPlan", debs: Sequence["Deb"], options: Sequence[str], say: Say
) -> dict[str, Any]:
    """Build once more, elsewhere, and compare.

    Args:
        plan: of the first build.
        debs: what it gave.
        options: of ``debship build``, to be given again.
        say: told what is being done.

    Returns:
        the verdict, for machines.

    Raises:
        Failed: a byte differs; the message says where.
    """
    from debship.build.papers import papers_beside
    from debship.build.verify import build_again, can_be_nobody, compare, other_circumstances
    from debship.run import run

    output = debs[0].path.parent
    with tempfile.TemporaryDirectory(prefix="debship-verify-") as name:
        folder = Path(name).resolve()
        (folder / "cache").mkdir()
        # A clean root is what it is: making it again, of another day's archive, would prove less.
        (folder / "cache" / "roots").symlink_to(cache_folder() / "roots")
        # What hosts have is looked up from here, with what this user may read.
        compared = "--previous" in options
        itself = compared or plan.app.build.releases
        other = other_circumstances(
            folder,
            os.environ,
            date=plan.date,
            nobody=not itself and can_be_nobody(run),
            faketime=shutil.which("faketime") is not None,
        )
        say(f"building again: {', '.join(other.told)}")
        again = build_again(
            plan.app.directory,
            output,
            folder,
            other,
            options=options,
            cwd=Path.cwd() if compared else folder,
            run=run,
        )
        say("comparing")
        names = [path.name for deb in debs for path in (deb.path, *papers_beside(deb))]
        findings = compare(output, again, names)
    differing = [finding for finding in findings if finding.lines]
    if differing:
        lines = [line for f in differing for line in (f.name, *(f"  {text}" for text in f.lines))]
        raise Failed(
            "\n".join(("the second build is not the same bytes:", *lines)),
            f"the second had {', '.join(other.told)}; what the first built lies in {output}",
        )
    return {"same": names, "second": list(other.told)}


def show_verdict(verdict: dict[str, Any]) -> None:
    """Print what was compared, and what the second build had otherwise."""
    print("built twice, the same bytes:")
    for name in verdict["same"]:
        print(f"  {name}")
    print(f"the second had {', '.join(verdict['second'])}")


def lint(debs: Sequence["Deb"], say: Say) -> None:
    """Ask lintian.

    Raises:
        Failed: it finds an error, or a warning, that nothing overrides.
    """
    from debship.build.lint import lint as ask
    from debship.run import run

    say("asking lintian")
    opinion = ask([deb.path for deb in debs], run)
    if opinion.tags:
        raise Failed(
            "\n".join(("lintian objects:", *(f"  {tag}" for tag in opinion.tags))),
            f"lintian-explain-tags {opinion.tags[0].split()[2]}",
        )
    overridden = f" ({opinion.overridden} overridden, with reasons)" if opinion.overridden else ""
    say(f"lintian has nothing to say{overridden}")
