"""The endpoints of the server."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from nas_peft.data.blank_images import BLANK_ANSWER
from nas_peft.run.version import __version__
from nas_peft.serving.allowed_folder import shortened
from nas_peft.serving.answers import (
    AttentionMap,
    Classification,
    ClassProbability,
    Health,
    LoadRequest,
    Problem,
    TaskDescription,
    TaskList,
)
from nas_peft.serving.form import IMAGE_FIELD
from nas_peft.serving.guard import Guard
from nas_peft.serving.head_requests import HeadRequests
from nas_peft.serving.metrics import CONTENT_TYPE, MeasuredRequests
from nas_peft.serving.page import page
from nas_peft.serving.refusal import Refusal
from nas_peft.serving.request_body import read_body
from nas_peft.serving.service import Service
from supernet.multi_task import Task

_LONGEST_JSON = 10_000  # bytes
_BINARY = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "required": [IMAGE_FIELD], "properties": {IMAGE_FIELD: _BINARY}}
_IMAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": _BINARY}, "multipart/form-data": {"schema": _FORM}},
    }
}
_LOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": LoadRequest.model_json_schema()}},
    }
}
_REFUSED_ANYWHERE = {401: "no or wrong token", 403: "not allowed"}
_REFUSED_TASKS = {400: "malformed request", 404: "no such task or file"}
_REFUSED_IMAGES = {
    408: "sent too slowly",
    413: "too many bytes or pixels",
    415: "no image of an accepted format",
    422: "a damaged image",
    503: "too many requests; try again after the seconds in Retry-After",
}
_REFUSED_FILES = {409: "the name is taken", 422: "no subnet of this backbone"}


def _refusals(*groups: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": Problem, "description": about}
        for group in groups
        for status, about in group.items()
    }


def build_api(service: Service, token: str | None) -> FastAPI:
    """The application of a service, as uvicorn runs it; its life begins and ends with the service's."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.close()

    api = FastAPI(
        title="nas-peft serve",
        summary="Image classification by many small subnets on one backbone.",
        version=__version__,
        docs_url=None,  # these pages load scripts from the network
        redoc_url=None,
        lifespan=lifespan,
        responses=_refusals(_REFUSED_ANYWHERE),
    )
    _add_handlers(api)
    _add_endpoints(api, service)
    api.add_middleware(HeadRequests)
    api.add_middleware(Guard, token=token)
    api.add_middleware(MeasuredRequests, metrics=service.metrics)
    return api


def _add_handlers(api: FastAPI) -> None:
    @api.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        return error.response()

    @api.exception_handler(HTTPException)
    async def no_such_thing(request: Request, error: HTTPException) -> Response:
        where = f"{request.method} {shortened(request.url.path)}"
        reason = f"{where}: {error.detail.lower()}; /openapi.json describes the endpoints"
        return Refusal(error.status_code, reason, error.headers).response()

    @api.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return Refusal(400, f"'{first['loc'][-1]}': {first['msg'].lower()}").response()

    @api.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:  # uvicorn logs the traceback
        return JSONResponse({"error": "the server failed; its log says how"}, 500)


def _add_endpoints(api: FastAPI, service: Service) -> None:
    @api.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def start_page() -> Response:
        found = page()
        return HTMLResponse(found.html, headers=found.headers)

    @api.get("/health", summary="Whether the server answers")
    async def health() -> Health:
        return Health(status="ok")

    @api.get("/metrics", summary="Counters in the format of Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    @api.get("/tasks", summary="All tasks with their classes and metrics")
    async def tasks() -> TaskList:
        return TaskList(tasks=[described(task) for task in service.tasks.model.tasks.values()])

    @api.put(
        "/tasks/{name}",
        summary="Load a subnet file from the allowed folder",
        status_code=201,
        openapi_extra=_LOAD_BODY,
        responses=_refusals(_REFUSED_TASKS, _REFUSED_FILES),
    )
    async def load(name: str, request: Request) -> TaskDescription:
        body = await read_body(request, _LONGEST_JSON, service.limits.send_seconds)
        try:
            wanted = LoadRequest.model_validate_json(body)
        except ValidationError as error:
            raise Refusal(400, 'give the file as JSON: {"file": "PATH IN THE FOLDER"}') from error
        return described(await service.load(name, wanted.file))

    @api.delete(
        "/tasks/{name}",
        summary="Unload a task whose file is in the allowed folder",
        status_code=204,
        responses=_refusals(_REFUSED_TASKS),
    )
    async def unload(name: str) -> None:
        await service.unload(name)

    @api.post(
        "/tasks/{name}/predict",
        summary="The most probable classes of an image",
        openapi_extra=_IMAGE_BODY,
        response_model_exclude_none=True,
        responses=_refusals(_REFUSED_TASKS, _REFUSED_IMAGES),
    )
    async def predict(
        name: str,
        request: Request,
        top: Annotated[int, Query(ge=1, le=10_000, description="number of classes")] = 5,
        logits: Annotated[bool, Query(description="whether to answer all logits, too")] = False,
    ) -> Classification:
        task, found, blank = await service.classify(name, request)
        best = task.probabilities(found).topk(min(top, len(task.classes)))
        return Classification(
            task=task.name,
            classes=[
                ClassProbability(name=task.classes[i], probability=p)
                for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ],
            logits=found.tolist() if logits else None,
            warning=BLANK_ANSWER if blank else None,
        )

    @api.post(
        "/tasks/{name}/attention",
        summary="Where the subnet looks (attention rollout)",
        openapi_extra=_IMAGE_BODY,
        responses=_refusals(_REFUSED_TASKS, _REFUSED_IMAGES),
    )
    async def attention(name: str, request: Request) -> AttentionMap:
        looks = await service.look(name, request)
        return AttentionMap(task=name, shares=looks.shares.tolist(), view=looks.view_as_data())


def described(task: Task) -> TaskDescription:
    """The description of a task; numbers of its metrics that are not finite, which JSON has not, are null."""
    return TaskDescription(
        name=task.name,
        classes=list(task.classes),
        metrics=_finite(task.metrics),
        parameters=task.params,
        modules=task.architecture.describe(),
        backbone=task.subnet.backbone.name,
        image_size=task.preprocessing.input_size[1:],
        calibrated=task.temperature is not None,
    )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
