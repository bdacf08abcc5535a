"""Rendering the templates."""

import contextlib
import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

# Here, not where it is used: a thread that imports waits for ever where the main thread was
# interrupted while it imported the same.
import jinja2

from debship.errors import Failed, Refused
from debship.template_files import directory


@cache
def _environment(*folders: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([str(folder) for folder in folders]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=jinja2.select_autoescape(("html.j2",), default=False),
    )


def check_overrides(folder: Path) -> None:
    """See that each file of a folder takes the place of one of our templates.

    Raises:
        Refused: one does not, so it would be ignored.
    """
    known = {str(path.relative_to(directory())) for path in directory().rglob("*")}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), 1)
            package = ", ".join(sorted(n for n in known if n.startswith("package/")))
            raise Refused(
                f"{path}: debship has no template {name}",
                f"did you mean {near[0]}?" if near else f"it has {package}",
            )


def prepare(folder: str) -> None:
    """Compile what will be rendered soon, as far as it can be, while others do the work.

    Args:
        folder: of templates, below ``debian-templates``.
    """
    with contextlib.suppress(Exception):  # rendering it says what is wrong
        here = directory()
        for path in sorted((here / folder).iterdir()):
            if path.is_file():
                _environment(here).get_template(str(path.relative_to(here)))


def render(name: str, values: Mapping[str, Any], *, overrides: Path | None = None) -> str:
    """Render one of our templates.

    Args:
        name: the file's name below ``debian-templates``.
        values: everything that the template may name; an unknown name is an error.
        overrides: a folder whose file of the same name goes before ours.

    Raises:
        Failed: the template is missing, is not valid, or names a value that is not there.
    """
    theirs = overrides / name if overrides else None
    hint = f"the file is {theirs}" if theirs and theirs.is_file() else None
    folders = (*((overrides,) if overrides else ()), directory())
    try:
        return _environment(*folders).get_template(name).render(values)
    except UnicodeDecodeError as error:
        raise Failed(f"template {name}: it is not UTF-8", hint) from error
    except jinja2.TemplateError as error:
        raise Failed(f"template {name}: {error}", hint) from error
    except Exception as error:
        if overrides is None:
            raise
        # What a template of theirs computes can fail in any way that Python knows.
        raise Failed(f"template {name}: {error}", hint) from error
