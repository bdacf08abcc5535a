"""What every table of the files shares, and pydantic's findings put into our words."""

import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Tag, ValidationError
from pydantic_core import ErrorDetails

from debship.config.kinds import Sentence
from debship.config.mistakes import Loc, Mistake, did_you_mean, quoted

# What starts the tag of a union's branch, which pydantic puts among the places: no key has it.
TAG = "\0"
# What pydantic puts after a key that is itself wrong.
KEY = "[key]"

_TYPES = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


class Form(BaseModel):
    """A table of a file: unknown keys are refused, and no type stands in for another."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


F = TypeVar("F", bound=Form)


def fill(form: type[F], table: Mapping[str, Any]) -> tuple[F | None, list[Mistake]]:
    """Read a table into a form, or give all that is wrong with it."""
    try:
        return form.model_validate(table), []
    except ValidationError as error:
        return None, [_mistake(form, details) for details in error.errors(include_url=False)]


def branches(node: Any) -> tuple[Any, ...]:
    """Take a type apart: what is inside ``Annotated`` and ``|``, without None."""
    if get_origin(node) is Annotated:
        return branches(get_args(node)[0])
    if get_origin(node) in (Union, types.UnionType):
        return tuple(b for arg in get_args(node) if arg is not type(None) for b in branches(arg))
    return (node,)


def _mistake(form: type[Form], details: ErrorDetails) -> Mistake:
    loc = tuple(p for p in details["loc"] if not (isinstance(p, str) and p.startswith(TAG)))
    if loc[-1:] == (KEY,):
        loc = loc[:-1]
    return Mistake(loc, _says(form, details, _shown(loc, details["input"])))


def _says(form: type[Form], details: ErrorDetails, got: str) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        *parents, key = details["loc"]
        return f"there is no such key; {did_you_mean(str(key), _keys(form, tuple(parents)))}"
    if kind == "missing":
        return f"is missing: {_described(form, details['loc'])}"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", context["expected"])
        near = did_you_mean(details["input"], known) if isinstance(details["input"], str) else ""
        wanted = ", ".join(f'"{word}"' for word in known)
        meant = f"; {near}" if near.startswith("did") else ""
        return f"expected one of {wanted}, got {got}{meant}"
    if kind == "value_error":
        raised = context["error"]
        return str(raised) if isinstance(raised, Sentence) else f"expected {raised}, got {got}"
    return f"expected {_TYPES.get(kind, details['msg'])}, got {got}"


def _shown(loc: Loc, value: object) -> str:
    """A secret that stands where its source belongs must not be shown to the terminal and CI."""
    if "secrets" in loc and isinstance(value, str):
        return "a string"
    return quoted(value)


def _keys(form: type[Form], loc: Loc) -> list[str]:
    table = _form_at(form, loc)
    return list(table.model_fields) if table else []


def _described(form: type[Form], loc: Loc) -> str:
    table = _form_at(form, loc[:-1])
    return (table.model_fields[str(loc[-1])].description or "") if table else ""


def _form_at(form: type[Form], loc: Loc) -> type[Form] | None:
    """Find the form that a place of the file is read into; None where none of ours is there."""
    node: Any = form
    for part in loc:
        node = _step(node, part)
    return next((branch for branch in branches(node) if _is_form(branch)), None)


def _step(node: Any, part: str | int) -> Any:
    """The type of what a table has under a key, a list at a place, a union under a tag."""
    if isinstance(part, str) and part.startswith(TAG):
        return _tagged(node, part)
    for branch in branches(node):
        if _is_form(branch) and part in branch.model_fields:
            return branch.model_fields[str(part)].annotation
        if get_origin(branch) in (list, dict):
            return get_args(branch)[-1]
    return None


def _tagged(node: Any, tag: str) -> Any:
    if get_origin(node) is Annotated:
        arg, *metadata = get_args(node)
        if any(isinstance(m, Tag) and m.tag == tag for m in metadata):
            return arg
        return _tagged(arg, tag)
    if get_origin(node) in (Union, types.UnionType):
        return next((hit for arg in get_args(node) if (hit := _tagged(arg, tag))), None)
    return None


def _is_form(node: Any) -> bool:
    return isinstance(node, type) and issubclass(node, Form)
