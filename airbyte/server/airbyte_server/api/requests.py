"""What all routes need of a request: services, a session, authentication, body models, paging."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from sqlalchemy import Select
from sqlalchemy.orm import Session

from airbyte_server.database import Actor, Connection, DeclarativeSourceDefinition, Job, Tag, Workspace
from airbyte_server.errors import bad_request, not_found, not_implemented, unauthorized
from airbyte_server.services import Services

# What a column of type bigint can hold.
MAX_BIGINT = 2**63 - 1
JobIdPath = Annotated[int, Path(ge=0, le=MAX_BIGINT)]

_NO_TEXT = re.compile("[\0\ud800-\udfff]")


_DEEPEST = 100


class Body(BaseModel):
    """A JSON request: camelCase outside, unknown members ignored as the platform does."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _is_storable(cls, given: Any) -> Any:
        refuse_unstorable(given)
        return given


def refuse_unstorable(value: Any) -> None:
    """Raise :class:`ValueError` for what Python's JSON reader takes and Postgres or a connector does not."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise ValueError(f"the body is nested deeper than {_DEEPEST} levels")
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += [*one, *one.values()]
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, str) and _NO_TEXT.search(one):
                raise ValueError("the body holds a string with U+0000 or half a surrogate pair")
            elif isinstance(one, float) and not math.isfinite(one):
                raise ValueError("the body holds a number that JSON does not have (NaN or Infinity)")
        level = inner


def services(request: Request) -> Services:
    return request.app.state.services


ServicesDep = Annotated[Services, Depends(services)]


def session(services: ServicesDep) -> Iterator[Session]:
    """A session that is committed when the route returns and rolled back when it raises."""
    with services.database.session.begin() as opened:
        yield opened


# Committed before the answer is sent: a client may act on it at once.
SessionDep = Annotated[Session, Depends(session, scope="function")]


_bearer = HTTPBearer(description="An access token of POST /applications/token", auto_error=False)
_BearerDep = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def authenticate(services: ServicesDep, given: _BearerDep) -> None:
    """Demand a bearer token issued by this server."""
    if given is None or not services.authenticator.is_valid(given.credentials):
        raise unauthorized()


def id_list(values: list[str] | None) -> list[uuid.UUID] | None:
    """Ids given as ``a,b`` or repeated; ``None`` when none are. What is no id is a 400 problem."""
    ids = [part.strip() for value in values or () for part in value.split(",") if part.strip()]
    try:
        return [uuid.UUID(one) for one in ids] or None
    except ValueError as error:
        raise bad_request(f"not a list of ids: {', '.join(ids)}") from error


class Page:
    """``limit`` and ``offset`` of a list request."""

    def __init__(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    ) -> None:
        self._request = request
        self.limit = limit
        self.offset = offset

    def slice(self, query: Select[Any]) -> Select[Any]:
        return query.limit(self.limit).offset(self.offset)

    def answer(self, data: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A page with its neighbours' addresses. As on the platform, the last page is followed by an empty one."""
        following = self._address(self.offset + self.limit) if data else ""
        preceding = self._address(max(0, self.offset - self.limit)) if self.offset else ""
        return {"data": data, "next": following, "previous": preceding}

    def _address(self, offset: int) -> str:
        return str(self._request.url.include_query_params(limit=self.limit, offset=offset))


PageDep = Annotated[Page, Depends()]

_Row = TypeVar("_Row", Workspace, Actor, Connection, DeclarativeSourceDefinition, Job, Tag)


def existing(session: Session, row_class: type[_Row], row_id: Any, name: str) -> _Row:
    """The row of that id; one that is missing or deleted is a 404 problem."""
    row = session.get(row_class, row_id)
    if row is None or getattr(row, "deleted_at", None) is not None:
        raise not_found(name, row_id)
    return row


def existing_actor(session: Session, kind: str, actor_id: uuid.UUID) -> Actor:
    actor = existing(session, Actor, actor_id, kind)
    if actor.kind != kind:
        raise not_found(kind, actor_id)
    return actor


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def not_served(path: str, request: Request) -> None:
    """The endpoint of all other paths below a prefix, for :data:`METHODS`."""
    raise not_implemented(request.method, request.url.path)
