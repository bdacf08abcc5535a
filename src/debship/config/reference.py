"""The JSON schemas and the reference page, made from the models: neither can say another thing."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from debship.config.app_form import AppForm
from debship.config.fleet_form import FleetForm
from debship.config.form import Form

FORMS: Mapping[str, type[Form]] = {"debship.toml": AppForm, "fleet.toml": FleetForm}

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_WORDS = {
    "string": "string",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "table",
}


def schema(name: str) -> dict[str, Any]:
    """Give the JSON schema of a file, by the file's name."""
    made = FORMS[name].model_json_schema()
    plain: dict[str, Any] = _without_null(made)
    if name == "debship.toml":
        # What [app] leaves out, pyproject.toml says.
        del plain["required"], plain["$defs"]["AppTable"]["required"]
    return {"$schema": _DRAFT, **plain, "title": name}


def reference() -> str:
    """Write the reference page of both files, in Markdown."""
    parts = ["# The two files\n\nWritten by `make golden` from the models; do not edit.\n"]
    for name in FORMS:
        whole = schema(name)
        parts.append(f"\n## {name}\n\n{_sentence(whole['description'].partition(': ')[2])}\n")
        parts.extend(_tables(whole, whole, ""))
    return "".join(parts)


def _without_null(node: Any) -> Any:
    """TOML has no null: what may be left out is no other type."""
    if isinstance(node, list):
        return [_without_null(item) for item in node if item != {"type": "null"}]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _without_null(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str)) and (key, value) != ("default", None)
    }
    choices = kept.get("anyOf", ())
    return {**choices[0], **_but(kept, "anyOf")} if len(choices) == 1 else kept


def _but(node: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name != key}


def _tables(whole: Mapping[str, Any], table: Mapping[str, Any], name: str) -> Iterator[str]:
    """A section for a table that has keys, then one for each table in it."""
    properties = table.get("properties", {})
    rows = [_row(key, value, table) for key, value in properties.items()]
    if name and rows:
        yield f"\n### {name}\n\n{_sentence(table['description'])}\n\n"
        yield "| key | value | left out | |\n| --- | --- | --- | --- |\n"
        yield from rows
    for key, value in properties.items():
        for inner, label in _inner(whole, value, _joined(name, key)):
            yield from _tables(whole, inner, label)


def _inner(
    whole: Mapping[str, Any], value: Mapping[str, Any], name: str
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The tables that a value is or holds, each with its heading."""
    if "$ref" in value:
        yield whole["$defs"][value["$ref"].rpartition("/")[2]], f"[{name}]"
    for choice in (*value.get("oneOf", ()), *value.get("anyOf", ())):
        for table, _ in _inner(whole, choice, name):
            kind = table.get("properties", {}).get("kind", {}).get("const")
            heading = f"[[{name}]]" if kind else f"[{name}]"
            yield table, f'{heading} of kind "{kind}"' if kind else heading
    if value.get("type") == "array":
        for table, label in _inner(whole, value["items"], name):
            yield table, label if label.startswith("[[") else f"[{label}]"
    if isinstance(value.get("additionalProperties"), dict):
        yield from _inner(whole, value["additionalProperties"], f"{name}.NAME")


def _joined(name: str, key: str) -> str:
    plain = name.strip("[]")
    return f"{plain}.{key}" if plain else key


def _row(key: str, value: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    shown = "required" if key in table.get("required", ()) else _default(value)
    says = value.get("description", "").replace("|", "\\|").replace("<", "\\<")
    return f"| `{key}` | {_words(value)} | {shown} | {says} |\n"


def _default(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    if default in (None, "", [], {}):
        return ""
    if isinstance(default, float):
        return f"`{default:g}` s"
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def _words(value: Mapping[str, Any]) -> str:
    if "const" in value:
        return f'`"{value["const"]}"`'
    if "enum" in value:
        return ", ".join(f'`"{word}"`' for word in value["enum"])
    if value.get("type") == "array":
        return f"list of {_words(value['items'])}s"
    choices = [*value.get("anyOf", ()), *value.get("oneOf", ())]
    if choices:
        return " or ".join(
            dict.fromkeys(_words(choice) for choice in choices if choice != {"not": {}})
        )
    return _WORDS.get(value.get("type", "object"), "table")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
