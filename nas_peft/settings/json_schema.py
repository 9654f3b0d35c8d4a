"""JSON schema of a configuration file, for editors that complete and check YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def file_schema(title: str, models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """The schema of a file with the fields of ``models``.

    No option is required, because the command line may give it. Texts may be numbers, such as a budget of
    500000, which YAML reads as such.
    """
    properties: dict[str, Any] = {}
    for model in models:
        for name, found in model.model_json_schema(mode="validation")["properties"].items():
            properties[name] = _with_numbers(found)
            properties[name].pop("command_line", None)
            properties[name].pop("title", None)
    return {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _with_numbers(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field with ``number`` beside ``string``, unless the field is a choice or a path."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [_with_numbers(option) for option in schema["anyOf"]]}
    if schema.get("type") == "string" and "enum" not in schema and "format" not in schema:
        return {**schema, "type": ["string", "number"]}
    return dict(schema)
