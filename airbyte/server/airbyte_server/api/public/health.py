"""``GET /health``: the only call without a token, besides asking for one."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from airbyte_server.api.requests import ServicesDep
from airbyte_server.errors import unavailable

router = APIRouter(tags=["health"])


@router.get("/health", response_class=PlainTextResponse)
def get_health(services: ServicesDep) -> str:
    try:
        with services.database.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise unavailable("the metadata database cannot be reached") from error
    return "Successful operation"
