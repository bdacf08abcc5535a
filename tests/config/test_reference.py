"""What is generated from the models is what the models say."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

import debship.config
from debship.config.reference import FORMS, reference, schema

TOP = Path(__file__).parents[2]
SCHEMAS = Path(debship.config.__file__).parent / "schema"
GENERATED = {
    TOP / "docs" / "reference" / "config.md": reference,
    **{
        SCHEMAS / f"{Path(name).stem}.schema.json": lambda name=name: (
            json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"
        )
        for name in FORMS
    },
}


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_it_is_generated(path: Path, request: pytest.FixtureRequest) -> None:
    text = GENERATED[path]()
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text, f"{path.name} is old; `make golden` writes it anew"


@pytest.mark.parametrize("name", FORMS)
def test_the_example_is_valid(name: str) -> None:
    table = tomllib.loads((TOP / "examples" / "auth" / name).read_text())
    jsonschema.Draft202012Validator.check_schema(schema(name))
    jsonschema.validate(table, schema(name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("debship.toml", "[ap]\nname = 'x'"),
        ("debship.toml", "[build]\nneeds = 'gcc'"),
        ("debship.toml", "[[service]]\nexec = 'x'\nkind = 'webb'"),
        ("fleet.toml", "[apps.auth]\nhosts = ['a']"),
        (
            "fleet.toml",
            "[repository]\nstore='x'\nurl='http://x'\nsuite='x'\n"
            "[apps.auth]\nhosts=['a']\nbalancers=[{kind='nome'}]",
        ),
    ],
)
def test_a_mistake_is_not(name: str, text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), schema(name))
