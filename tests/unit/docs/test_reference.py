"""The reference pages say what the code says: each is written anew and compared."""

from importlib import import_module

import pytest
from pydantic import BaseModel

from kuaimei import settings
from scripts import events_reference
from scripts.settings_reference import documented

PAGES = ("settings", "cli", "rest", "metrics", "events")


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_true(page: str) -> None:
    module = import_module(f"scripts.{page}_reference")
    assert module.TARGET.read_text(encoding="utf-8") == module.render(), (
        f"run `python -m scripts.{page}_reference`"
    )


def test_every_event_is_explained() -> None:
    assert events_reference.differences() == []


def test_every_setting_is_explained() -> None:
    sections = [
        one for one in vars(settings).values() if isinstance(one, type) and issubclass(one, BaseModel)
    ]
    unexplained = [
        f"{section.__name__}.{name}"
        for section in sections
        if section.__module__ == settings.__name__
        for name, field in section.model_fields.items()
        if name not in documented(section)
        and not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel))
    ]
    assert unexplained == []
