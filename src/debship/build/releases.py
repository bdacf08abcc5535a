"""Packages for several releases on one machine, each built in a clean root of its own."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from debship.build.cache import LAYERS, Cache
from debship.build.package import Package
from debship.build.plan import BuildPlan
from debship.build.recipe import LEVEL, build
from debship.build.scratch import scratch_folder
from debship.build.smoke import smoke_packages, smoke_test
from debship.build.space import told_if_full
from debship.build.together import HIDDEN, check_folder, check_free, made
from debship.cell import PATH, Cell, open_cell
from debship.cell.shows import Show
from debship.errors import DebshipError
from debship.model import Deb
from debship.roots import clean_root, made_kept
from debship.run import Run

# What debship itself calls in a root: dpkg-shlibdeps, and the Python that commands say python3 to.
# Compilers and headers are the application's to name.
_TOOLS = ("binutils", "dpkg-dev", "python3")


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where clean roots are made and entered.

    Attributes:
        cache: the folder that keeps roots, what uv downloaded and compiled for each, and layers.
        environment: of this process.
        run: the door to the machine's programs.
        say: hears what is being done.
        level: of the compressor, for what the lock names.
    """

    cache: Path
    environment: Mapping[str, str]
    run: Run
    say: Callable[[str], None]
    level: int = LEVEL

    def of(self, codename: str) -> Callable[[str], None]:
        """Give a ``say`` that names the release; a note stays a note."""

        def say(step: str) -> None:
            note, text = ("note: ", step[6:]) if step.startswith("note: ") else ("", step)
            self.say(f"{note}{codename}: {text}")

        return say


@told_if_full
def build_in_roots(
    plans: Sequence[BuildPlan], output: Path, shop: Workshop, *, smoke: bool = True
) -> tuple[Deb, ...]:
    """Build one package after the other, each in a clean root of its release, and try each.

    The packages appear in ``output`` when all of them are whole: where one fails, none appears.

    Args:
        plans: one for each release.
        output: the folder that the packages go to.
        shop: where roots are.
        smoke: whether each is installed in another clean root and tried.

    Raises:
        Refused: they cannot go where they are to go.
        DebshipError: what the build of one raised; its message names the release.
    """
    check_folder(output)
    with made(output), scratch_folder(output, prefix=HIDDEN) as folder:
        built = [deb for plan in plans for deb in _build(plan, folder, shop, smoke=smoke)]
        # .changes names all others: it comes last.
        check_free(output, (path.name for path in folder.iterdir()))
        for path in sorted(folder.iterdir(), key=lambda path: path.suffix == ".changes"):
            path.replace(output / path.name)
    return tuple(replace(deb, path=output / deb.path.name) for deb in built)


def build_here(plan: BuildPlan, output: Path, shop: Workshop) -> tuple[Deb, ...]:
    """Build one package on the machine itself, and try it in a clean root of its release.

    Raises:
        DebshipError: what the build raised, or the trial.
    """
    return build(
        plan,
        output,
        run=shop.run,
        say=shop.say,
        cache=Cache(shop.cache / LAYERS),
        level=shop.level,
        check=partial(try_packages, shop=shop),
    )


def try_packages(packages: Sequence[Package], debs: Sequence[Path], shop: Workshop) -> None:
    """Install the packages of a build in a clean root of its release, and see that they work.

    Raises:
        Refused: something does not; see ``smoke_test``.
        Failed: a package that it depends on is not in the release.
    """
    plan = packages[0].plan
    release = plan.release
    needed = smoke_packages(packages)
    root = clean_root(release, needed, run=shop.run, cache=shop.cache / "roots", say=shop.say)
    say = shop.of(release.codename)
    say(f"trying {plan.app.name} in a clean root")
    with (
        scratch_folder() as folder,
        open_cell(
            root,
            name=release.codename,
            layer=folder / "layer",
            show=[Show(deb) for deb in debs],
            environment=None,
            variables={},
            run=shop.run,
        ) as cell,
    ):
        smoke_test(packages[0], debs, cell, say)


def build_packages(plan: BuildPlan) -> tuple[str, ...]:
    """Name what a root must have for a build: the interpreter, debship's tools, the needs."""
    distutils = ("python3-distutils",) if _wants_distutils(plan.release.python) else ()
    return (plan.python, *_TOOLS, *distutils, *plan.app.build.needs)


def _wants_distutils(python: str) -> bool:
    """Before Python 3.10, uv asks distutils where things go; Debian has it in a package of its own."""
    return int(python.partition(".")[2]) < 10


def _build(plan: BuildPlan, output: Path, shop: Workshop, *, smoke: bool) -> tuple[Deb, ...]:
    codename = plan.release.codename

    try:
        with _cell(plan, shop) as (cell, scratch):
            return build(
                plan,
                output,
                run=cell,
                say=shop.of(codename),
                cache=Cache(shop.cache / LAYERS),
                level=shop.level,
                root=cell.root,
                scratch=scratch,
                check=partial(try_packages, shop=shop) if smoke else None,
            )
    except DebshipError as error:
        known = codename in error.message.partition("\n")[0]
        message = error.message if known else f"{codename}: {error.message}"
        raise type(error)(message, error.hint) from error


@contextlib.contextmanager
def _cell(plan: BuildPlan, shop: Workshop) -> Iterator[tuple[Cell, Path]]:
    """Open a cell for a build; give it, and a folder for temporary files that it sees."""
    from uv import find_uv_bin

    uv = Path(find_uv_bin())
    root = clean_root(
        plan.release,
        build_packages(plan),
        run=shop.run,
        cache=shop.cache / "roots",
        say=shop.say,
    )
    # uv keeps what it compiled from an sdist by name and tag, and some tags fit every release: so
    # each root has a cache of its own.
    cache = made_kept(shop.cache / "uv" / root.name)
    with scratch_folder() as folder:
        scratch = folder / "scratch"
        scratch.mkdir()
        shows = (
            # What one release's build writes into the project is not there for the next.
            *(Show(path, "dropped") for path in sources(plan, shop.run)),
            *(Show(path, "kept") for path in (cache, scratch)),
            Show(uv),
        )
        variables = {
            "PATH": f"{PATH}:{uv.parent}",
            "UV_CACHE_DIR": str(cache),
            "UV_PYTHON": str(plan.interpreter),
            "UV_PYTHON_DOWNLOADS": "never",
            # A command such as `uv run pytest` is not to replace the developer's own .venv.
            "UV_PROJECT_ENVIRONMENT": str(scratch / "venv"),
        }
        with open_cell(
            root,
            name=plan.release.codename,
            layer=folder / "layer",
            show=shows,
            environment=shop.environment,
            variables=variables,
            run=shop.run,
        ) as cell:
            yield cell, scratch


def sources(plan: BuildPlan, run: Run) -> tuple[Path, ...]:
    """Say which folders a build reads: the application's, the git checkout and the lock's."""
    directory = plan.app.directory
    asked = run(["git", "rev-parse", "--show-toplevel"], cwd=directory, check=False)
    top = Path(asked.text) if asked.returncode == 0 and asked.text else directory
    return tuple(dict.fromkeys((directory, top, plan.lock.path.parent)))
