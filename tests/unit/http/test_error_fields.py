"""Where a mistake is, in the words of whoever made it."""

from collections.abc import Sequence

import pytest
from pydantic import BaseModel, Field, ValidationError

from kuaimei.http.error_fields import field_names
from kuaimei.text.wellformed import WellFormedText


class _Part(BaseModel):
    text: WellFormedText


class _Request(BaseModel):
    content: WellFormedText | Sequence[_Part]
    voice: str | _Part = ""
    metadata: dict[str, str] = Field(default_factory=dict)
    count: int = 0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "content"),
        ({"content": "a\x00"}, "content"),
        ({"content": 7}, "content"),
        ({"content": [{"text": "a"}, {"text": "\ud800"}]}, "content"),  # the first of the alternatives tried
        ({"content": "a", "voice": {}}, "voice"),
        ({"content": "a", "metadata": {"key": 7}}, "metadata.key"),
        ({"content": "a", "metadata": {"": [1]}}, "metadata."),
        ({"content": "a", "count": "x"}, "count"),
    ],
)
def test_no_type_that_was_tried_is_a_field(body: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError) as told:
        _Request.model_validate(body)
    first = told.value.errors()[0]
    found = ".".join(field_names(first["loc"], body, missing=first["type"] == "missing"))
    assert found == expected


def test_places_in_lists_and_fields_left_out_are_told() -> None:
    body = {"content": [{"text": "a"}, {}]}
    path = ("content", "list[_Part]", 1, "_Part", "text")
    assert list(field_names(path, body, missing=True)) == ["content", "1", "text"]


def test_of_what_is_no_json_the_whole_path_is_names() -> None:
    assert list(field_names(("limit",), None)) == ["limit"]
