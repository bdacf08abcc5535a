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


def field_of(form: type[Form], loc: Loc) -> Any:
    """Find the type that a place of a file has; None where nothing of ours is there."""
    node: Any = form
    for part in loc:
        node = _step(node, part)
    return node


def branches(node: Any) -> tuple[Any, ...]:
    """Take a type apart: what is inside ``Annotated`` and ``|``, without None."""
    if get_origin(node) is Annotated:
        return branches(get_args(node)[0])
    if get_origin(node) in (Union, types.UnionType):
        return tuple(b for arg in get_args(node) if arg is not type(None) for b in branches(arg))
    return (node,)


def _mistake(form: type[Form], details: ErrorDetails) -> Mistake:
    loc = tuple(p for p in details["loc"] if not (isinstance(p, str) and p.startswith(TAG)))
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
    node = field_of(form, loc)
    return list(node.model_fields) if node is not None and _is_form(node) else []


def _described(form: type[Form], loc: Loc) -> str:
    parent = field_of(form, loc[:-1])
    return parent.model_fields[str(loc[-1])].description or ""


def _step(node: Any, part: str | int) -> Any:
    if isinstance(part, str) and part.startswith(TAG):
        return _tagged(node, part)
    for branch in branches(node):
        if _is_form(branch) and part in branch.model_fields:
            return _plain(branch.model_fields[str(part)].annotation)
        if get_origin(branch) in (list, dict):
            return _plain(get_args(branch)[-1])
    return None


def _tagged(node: Any, tag: str) -> Any:
    if get_origin(node) is Annotated:
        arg, *metadata = get_args(node)
        if any(isinstance(m, Tag) and m.tag == tag for m in metadata):
            return _plain(arg)
        return _tagged(arg, tag)
    if get_origin(node) in (Union, types.UnionType):
        return next((hit for arg in get_args(node) if (hit := _tagged(arg, tag))), None)
    return None


def _plain(node: Any) -> Any:
    """A type alone where it is one; a union stays what it is."""
    found = branches(node)
    tagged = isinstance(node, type) or len(found) > 1
    return node if tagged else found[0]


def _is_form(node: Any) -> bool:
    return isinstance(node, type) and issubclass(node, Form)
