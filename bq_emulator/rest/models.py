"""models: there are none, since CREATE MODEL is refused; so clients that walk through a dataset find none."""

from __future__ import annotations

from typing import Any

from bq_emulator.model import BigQueryError
from bq_emulator.rest.call import Call


def list_models(call: Call) -> dict[str, Any]:
    with call.emulator.database.session() as db:
        call.emulator.metadata.dataset(db, call.path["dataset"])
    return {"models": []}


def missing(call: Call) -> None:
    name = f"{call.emulator.project}:{call.path['dataset']}.{call.path['model']}"
    raise BigQueryError("notFound", f"Not found: Model {name}")


_MODELS = "/projects/{project}/datasets/{dataset}/models"
ROUTES = (
    ("GET", _MODELS, list_models),
    ("GET", _MODELS + "/{model}", missing),
    ("PATCH", _MODELS + "/{model}", missing),
    ("DELETE", _MODELS + "/{model}", missing),
)
