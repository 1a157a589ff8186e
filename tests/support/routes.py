"""Every route of an application, for tests that must not forget one."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

__all__ = ["Served", "routes_of"]


@dataclass(frozen=True)
class Served:
    """One method at one path, and what it takes."""

    method: str
    path: str
    takes: Dependant


def routes_of(app: FastAPI) -> Iterator[Served]:
    """All that answers over HTTP; the files of the page and the description of the interface left out."""
    for found in iter_route_contexts(app.routes):
        if isinstance(found.original_route, APIRoute):
            for method in sorted(found.methods or ()):
                yield Served(method, found.path or "", found.original_route.dependant)
