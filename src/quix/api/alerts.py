"""Alerts as they are seen, and silences."""

from __future__ import annotations

import time
from typing import Annotated, Final

from litestar import delete, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Meta, Struct

from quix import logs
from quix.api.access import AsUser, Parts, one_backend
from quix.api.errors import raises
from quix.api.labels import Labels, said
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import ADMINISTERING, NAMING, OPERATING, Problem, ProblemError
from quix.server.accounts import can_operate, can_read
from quix.server.caller import Caller
from quix.server.control import Control
from quix.store.actions import Action
from quix.store.alert_rules import Rule
from quix.store.alert_silences import Silence
from quix.store.alerts import Alert, State
from quix.store.ids import new_id

log = logs.get(__name__)

OneSilence = Annotated[str, PathParameter(description="The silence's id.")]

TAG = "alerts"

_LONGEST_SILENCE: Final = 366 * 86400.0

InState = Annotated[State | None, QueryParameter(name="state", description="Only those that fire, or that are over.")]
OfBackend = Annotated[
    str | None, QueryParameter(name="backend", description="Only those of this backend: its id, or its name.")
]


class NewSilence(Struct, forbid_unknown_fields=True):
    """What is silenced until a time (epoch seconds, a year from now at most): alerts of the rule (id or name), of the
    backend (id or name) and of backends with all of the labels, each where it is given."""

    until: Annotated[float, Meta(ge=0, le=2**40)]
    rule_id: str | None = None
    backend_id: str | None = None
    labels: Labels = {}
    comment: Annotated[str, Meta(max_length=500)] = ""


async def one_rule(control: Control, text: str, caller: Caller) -> Rule:
    """Return the rule of an id or a name, where the caller may know of it.

    Raises:
        ProblemError: RULE_UNKNOWN.
    """
    rule = await control.store.alert_rules.find(text)
    if rule is None or not is_shown(rule, caller):
        raise ProblemError(Problem.RULE_UNKNOWN)
    return rule


def is_shown(rule: Rule, caller: Caller) -> bool:
    """Whether a rule can be about backends that the caller sees: its labels do not contradict his."""
    return all(rule.labels.get(name, value) == value for name, value in caller.sight.labels)


@get(
    "/alerts",
    operation_id="listAlerts",
    summary="List alerts",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *NAMING),
)
async def list_alerts(
    control: Parts,
    request: AsUser,
    in_state: InState = None,
    backend: OfBackend = None,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[Alert]:
    """Return what rules have raised, the newest first."""
    sight = request.user.sight
    backend_id = None if backend is None else (await one_backend(control, backend, sight)).id

    async def fetch(cursor: str | None, count: int) -> list[Alert]:
        return await control.store.alerts.newest(cursor, count, in_state, backend_id, sight)

    return await turn(fetch, lambda alert: alert.id, after, limit)


# -- silences -------------------------------------------------------------------------------------


@get(
    "/alerts/silences",
    operation_id="listSilences",
    summary="List silences",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING),
)
async def list_silences(
    control: Parts, request: AsUser, after: After = None, limit: Limit = DEFAULT_LIMIT
) -> Page[Silence]:
    """Return the silences that hold, the oldest first; to who is limited to some backends, those about one of them and
    his own."""
    caller = request.user

    async def fetch(cursor: str | None, count: int) -> list[Silence]:
        return await control.store.alert_silences.page(cursor, count, caller.name, caller.sight)

    return await turn(fetch, lambda silence: silence.id, after, limit)


@post(
    "/alerts/silences",
    operation_id="addSilence",
    summary="Silence alerts",
    tags=[TAG],
    may=can_operate,
    audits=Action.ALERT_SILENCE_ADDED,
    responses=raises(Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *OPERATING, Problem.RULE_UNKNOWN),
)
async def add_silence(control: Parts, request: AsUser, data: JSONBody[NewSilence]) -> Silence:
    """Silence alerts for a time: they are kept and shown, and nobody is told. With nothing given, all that whoever asks
    sees."""
    now, caller = time.time(), request.user
    silence_id = new_id(now)
    about = {"rule": data.rule_id or "", "labels": said(data.labels), "comment": data.comment}
    with control.audit.act(caller, Action.ALERT_SILENCE_ADDED, target=silence_id, **about) as act:
        if not now < data.until <= now + _LONGEST_SILENCE:
            raise ProblemError(Problem.REQUEST_INVALID, "until: it must be in the coming year, in epoch seconds")
        backend = None if data.backend_id is None else await one_backend(control, data.backend_id, caller.sight)
        rule = None if data.rule_id is None else await one_rule(control, data.rule_id, caller)
        silence = Silence(
            id=silence_id,
            rule_id=rule.id if rule else None,
            backend_id=backend.id if backend else None,
            labels=data.labels,
            until=data.until,
            comment=data.comment,
            created_by=caller.name,
            created_at=now,
        )
        await control.store.alert_silences.add(silence, caller.sight, act.kept())
    control.alerts.changed()
    log.info("alerts silenced", user=caller.name, id=silence.id, until=silence.until)
    return silence


@delete(
    "/alerts/silences/{id:str}",
    operation_id="removeSilence",
    summary="End a silence",
    tags=[TAG],
    may=can_operate,
    audits=Action.ALERT_SILENCE_REMOVED,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING, Problem.SILENCE_UNKNOWN),
)
async def remove_silence(control: Parts, request: AsUser, id: OneSilence) -> None:  # noqa: A002 - it is the path's name
    """End a silence now; of what still fires then, its channels are told."""
    caller = request.user
    with control.audit.act(caller, Action.ALERT_SILENCE_REMOVED, target=id) as act:
        found = await control.store.alert_silences.get(id, caller.name, caller.sight)
        if found is None or not await control.store.alert_silences.remove(id, act.kept()):
            raise ProblemError(Problem.SILENCE_UNKNOWN)
    control.alerts.changed()
    log.info("silence ended", user=caller.name, id=id)
