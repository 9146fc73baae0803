"""Serve the course: its contents, a lesson without its answers, and a learner's own run held against a question.

Instruments run by the routes of their verbs, within each learner's bounds. What is judged here is the answer that the
page has from there, so that nothing runs twice and a restart in between loses nothing.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from capot.config import Serving
from capot.i18n import LANGUAGES
from capot.lessons.calls import CALLS, TEXT_CHARS
from capot.lessons.course import Course, read_course
from capot.lessons.judge import Judgement, judged
from capot.lessons.questions import Question
from capot.web.guard import preferred_language
from capot.web.openapi import ok_responses
from capot.web.uploads import request_resources
from capot.web.verb_routes import current_learner
from capot.web.verbs import json_schema

BYTES_PER_ANSWER = 4_000_000  # held while a run is judged: it was parsed, and its sentences are made of parts of it


class JudgeRequest(BaseModel):
    """A prediction with the run that answers it, and what was read there."""

    model_config = ConfigDict(extra="forbid")
    evidence: list[dict[str, Any]] = Field(default_factory=list, max_length=CALLS)
    predicted: int | float | str | list[int | float] | None = Field(default=None, examples=[2])
    seen: str | None = Field(default=None, max_length=TEXT_CHARS)


class Courses:
    """The course in each language, read once."""

    def __init__(self, folder: str | None) -> None:
        self._folder = None if folder is None else Path(folder)
        self._read = functools.cache(functools.partial(read_course, self._folder))

    def check(self) -> None:
        """Read the lessons of an owner's folder: a fault is told before the lab opens. Raises: as ``read_course``."""
        if self._folder is not None:
            for lang in LANGUAGES:
                self._read(lang)

    def course(self, lang: str) -> Course:
        return self._read(lang)


def install(app: FastAPI, serving: Serving) -> None:
    """Add the routes of the course. Raises: as ``Courses.check``."""
    courses = Courses(serving.lessons)
    courses.check()
    listed = {"type": "object", "properties": {"lessons": {"type": "array"}}, "required": ["course", "lessons"]}

    async def course_of(request: Request) -> Course:
        return await anyio.to_thread.run_sync(courses.course, preferred_language(request.scope))

    @app.get("/api/lessons", summary="The lessons of the course", responses=ok_responses(listed))
    async def lessons(request: Request) -> JSONResponse:
        return _ok((await course_of(request)).contents())

    @app.get(
        "/api/lessons/{number}", summary="A lesson, without its answers", responses=ok_responses({"type": "object"})
    )
    async def lesson(request: Request, number: int) -> JSONResponse:
        course = await course_of(request)
        return _ok(await anyio.to_thread.run_sync(course.page, number))

    @app.post(
        "/api/lessons/{number}/{place}",
        summary="Hold a prediction against the run that the page has made",
        responses=ok_responses(json_schema(Judgement)),
    )
    async def judge(request: Request, number: int, place: int, body: JudgeRequest) -> JSONResponse:
        course = await course_of(request)
        found = await _judge(request, course.question(number, place), body, course)
        return _ok(dataclasses.asdict(found))


async def _judge(request: Request, question: Question, body: JudgeRequest, course: Course) -> Judgement:
    """Judge on a thread, as one of the learner's calls. Raises: as ``judged``; BusyError ``too_much_memory``."""
    learners = request.app.state.learners
    learner = current_learner(request)
    key = object()
    await request_resources(request.scope).enter_async_context(learners.turn(learner, key))
    request_resources(request.scope).enter_context(learner.account.holding(BYTES_PER_ANSWER))
    work = functools.partial(
        judged, question, body.evidence, body.predicted,
        typed=body.seen, folder=course.folder, lang=preferred_language(request.scope),
    )  # fmt: skip
    async with learners.semaphore.acquired(key):
        return await anyio.to_thread.run_sync(work, limiter=learners.threads)


def _ok(result: Any) -> JSONResponse:
    return JSONResponse({"ok": True, "result": result})
