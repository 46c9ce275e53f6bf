"""Airbyte's error objects ("problems") and their HTTP statuses.

Shape: https://reference.airbyte.com/reference/errors. Each function makes one kind of problem, to be raised.
"""

from __future__ import annotations

from typing import Any

_REFERENCE = "https://reference.airbyte.com/reference/errors#"


class Problem(Exception):
    """An answer other than success; ``body`` is what the client gets."""

    def __init__(self, status: int, slug: str, detail: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.body: dict[str, Any] = {
            "status": status,
            "type": slug if slug.startswith("error:") else _REFERENCE + slug,
            "title": slug.removeprefix("error:"),
            "detail": detail,
            "documentationUrl": None,
            "data": data or {},
        }


def bad_request(message: str) -> Problem:
    return Problem(400, "bad-request", "The request could not be understood.", {"message": message})


def value_not_found(type_name: str, value: str, known: list[str]) -> Problem:
    message = f"{type_name} {value!r} is not known here; known are: {', '.join(sorted(known))}"
    return Problem(400, "value-not-found", "Submitted value could not be found.", {"message": message, "value": value})


def invalid_cron(expression: str, message: str) -> Problem:
    return Problem(
        400,
        "error:cron-validation/invalid-expression",
        "The cron expression is not valid.",
        {"cronExpression": expression, "validationErrorMessage": message},
    )


def unauthorized() -> Problem:
    return Problem(401, "invalid-api-key", "The access token or client credentials are missing, wrong or expired.")


def not_found(resource_type: str, resource_id: object) -> Problem:
    return Problem(
        404,
        "resource-not-found",
        "The requested resource could not be found.",
        {"resourceType": resource_type, "resourceId": str(resource_id)},
    )


def try_again_later(message: str) -> Problem:
    return Problem(409, "try-again-later", "The request cannot be served now; try again later.", {"message": message})


def state_conflict(message: str) -> Problem:
    return Problem(409, "state-conflict", "The resource is in a state that forbids this.", {"message": message})


def sync_is_running(message: str) -> Problem:
    return Problem(423, "state-conflict", "The connection is being synced.", {"message": message})


def tag_already_exists(name: str) -> Problem:
    return Problem(409, "error:tag-already-exists", "A tag of that name exists in the workspace.", {"tagName": name})


def unprocessable(message: str) -> Problem:
    return Problem(
        422, "unprocessable-entity", "The request is well-formed but cannot be applied.", {"message": message}
    )


def connector_failed(message: str) -> Problem:
    """A connector could not answer ``spec`` or ``discover``; the platform answers such requests with 500."""
    return Problem(500, "unexpected-problem", "The connector failed.", {"message": message})


def not_implemented(method: str, path: str) -> Problem:
    return Problem(
        501,
        "error:implementation/not-implemented-in-oss",
        "This server does not implement the requested operation.",
        {"message": f"{method} {path}"},
    )


def unavailable(message: str) -> Problem:
    return Problem(503, "service-unavailable", "The service is not available.", {"message": message})
