"""Rules for alerts. Everybody sees those that can be about his backends; admins write them."""

from __future__ import annotations

import math
import time
from typing import Annotated, Final

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody, PathParameter
from msgspec import UNSET, Meta, Struct, UnsetType, field

from quix import logs
from quix.api.access import AsUser, Parts
from quix.api.alerts import TAG, is_shown, one_rule
from quix.api.errors import raises
from quix.api.labels import Labels
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import ADMINISTERING, READING, Problem, ProblemError
from quix.server.accounts import can_administer, can_read
from quix.server.control import Control
from quix.store.actions import Action
from quix.store.alert_rules import Op, Rule, Severity, Watched
from quix.store.ids import new_id

log = logs.get(__name__)

OneRule = Annotated[str, PathParameter(description="The rule's id, or its name.")]

Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f/]{1,64}(?!\n)$")]
"""1 to 64 characters, without slashes and control characters."""

Hold = Annotated[float, Meta(ge=0, le=7 * 86400)]
Number = Annotated[float, Meta(ge=-(2.0**63), le=2.0**63)]
Channels = Annotated[list[str], Meta(max_length=20)]

MOST: Final = 200
"""Rules that there can be; each costs time on every look at the fleet."""


class NewRule(Struct, forbid_unknown_fields=True, kw_only=True):
    """A rule, as `Rule` says. `channels` are ids or names."""

    name: Name
    metric: Watched
    op: Op = "above"
    threshold: Number | None = None
    clear: Number | None = None
    hold: Hold = field(default=60.0, name="for")
    labels: Labels = {}
    channels: Channels = []
    severity: Severity = "warning"
    enabled: bool = True


class RuleChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What of a rule is to be otherwise; what is left out stays as it is."""

    name: Name | UnsetType = UNSET
    metric: Watched | UnsetType = UNSET
    op: Op | UnsetType = UNSET
    threshold: Number | UnsetType | None = UNSET
    clear: Number | UnsetType | None = UNSET
    hold: Hold | UnsetType = field(default=UNSET, name="for")
    labels: Labels | UnsetType = UNSET
    channels: Channels | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


@get(
    "/alerts/rules",
    operation_id="listRules",
    summary="List rules",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *READING),
)
async def list_rules(control: Parts, request: AsUser, after: After = None, limit: Limit = DEFAULT_LIMIT) -> Page[Rule]:
    """Return the rules, the oldest first; to who is limited to some backends, those that can be about them."""

    async def fetch(cursor: str | None, count: int) -> list[Rule]:
        shown = [rule for rule in await control.store.alert_rules.all() if is_shown(rule, request.user)]
        return [rule for rule in shown if rule.id > (cursor or "")][:count]

    return await turn(fetch, lambda rule: rule.id, after, limit)


@get(
    "/alerts/rules/{id:str}",
    operation_id="getRule",
    summary="Look at a rule",
    tags=[TAG],
    may=can_read,
    responses=raises(Problem.REQUEST_INVALID, *READING, Problem.RULE_UNKNOWN),
)
async def get_rule(control: Parts, request: AsUser, id: OneRule) -> Rule:  # noqa: A002 - it is the path's name
    """Return the rule of an id or a name."""
    return await one_rule(control, id, request.user)


_WRITING: Final = (
    Problem.REQUEST_INVALID,
    Problem.BODY_TOO_LARGE,
    *ADMINISTERING,
    Problem.CHANNEL_UNKNOWN,
    Problem.ALREADY_EXISTS,
)


@post(
    "/alerts/rules",
    operation_id="addRule",
    summary="Add a rule",
    tags=[TAG],
    may=can_administer,
    whole=True,
    audits=Action.ALERT_RULE_ADDED,
    responses=raises(*_WRITING),
)
async def add_rule(control: Parts, request: AsUser, data: JSONBody[NewRule]) -> Rule:
    """Add a rule; it holds from now on. For admins who see all backends, as what changes rules and channels."""
    now, caller = time.time(), request.user
    with control.audit.act(caller, Action.ALERT_RULE_ADDED, target=data.name, **_said(data.metric, data)) as act:
        if len(await control.store.alert_rules.all()) >= MOST:
            raise ProblemError(Problem.REQUEST_INVALID, f"there are {MOST} rules already, as many as there can be")
        rule = Rule(id=new_id(now), created_by=caller.name, created_at=now, **msgspec.structs.asdict(data))
        rule = await _checked(control, rule)
        await control.store.alert_rules.add(rule, act.kept())
    control.alerts.changed()
    log.info("rule added", user=caller.name, rule=rule.name)
    return rule


@patch(
    "/alerts/rules/{id:str}",
    operation_id="changeRule",
    summary="Change a rule",
    tags=[TAG],
    may=can_administer,
    whole=True,
    audits=Action.ALERT_RULE_CHANGED,
    responses=raises(*_WRITING, Problem.RULE_UNKNOWN),
)
async def change_rule(control: Parts, request: AsUser, id: OneRule, data: JSONBody[RuleChange]) -> Rule:  # noqa: A002
    """Change a rule; it holds from now on. Alerts of a rule that is disabled, or watches another metric, end, and
    nobody is told."""
    caller = request.user
    given = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    what = " ".join("for" if name == "hold" else name for name in given)
    with control.audit.act(caller, Action.ALERT_RULE_CHANGED, target=id, changed=what) as act:
        known = await one_rule(control, id, caller)
        act.about(known.name)
        rule = await _checked(control, msgspec.structs.replace(known, **given))
        if not await control.store.alert_rules.put(rule, act.kept()):
            raise ProblemError(Problem.RULE_UNKNOWN)
    control.alerts.changed()
    log.info("rule changed", user=caller.name, rule=rule.name, changed=what)
    return rule


@delete(
    "/alerts/rules/{id:str}",
    operation_id="removeRule",
    summary="Remove a rule",
    tags=[TAG],
    may=can_administer,
    whole=True,
    audits=Action.ALERT_RULE_REMOVED,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING, Problem.RULE_UNKNOWN),
)
async def remove_rule(control: Parts, request: AsUser, id: OneRule) -> None:  # noqa: A002 - it is the path's name
    """Remove a rule; its alerts end, and nobody is told."""
    with control.audit.act(request.user, Action.ALERT_RULE_REMOVED, target=id) as act:
        rule = await one_rule(control, id, request.user)
        act.about(rule.name)
        if not await control.store.alert_rules.remove(rule.id, act.kept()):
            raise ProblemError(Problem.RULE_UNKNOWN)
    control.alerts.changed()
    log.info("rule removed", user=request.user.name, rule=rule.name)


def _said(metric: Watched, data: NewRule) -> dict[str, str]:
    threshold = "" if data.threshold is None else f" {data.op} {data.threshold:g}{metric.unit}"
    return {"metric": f"{metric}{threshold}", "severity": data.severity}


async def _checked(control: Control, rule: Rule) -> Rule:
    """Return a rule with ids for the names of its channels. Raises ProblemError where it makes no sense."""
    if problem := _fault(rule):
        raise ProblemError(Problem.REQUEST_INVALID, problem)
    ids = []
    for text in rule.channels:
        channel = await control.store.alert_channels.find(text)
        if channel is None:
            raise ProblemError(Problem.CHANNEL_UNKNOWN, f"channels: there is none of the id or name {text!r}")
        ids.append(channel.id)
    return msgspec.structs.replace(rule, channels=list(dict.fromkeys(ids)))


def _fault(rule: Rule) -> str:
    """Say what is wrong with the numbers of a rule; nothing is ''."""
    if rule.metric is Watched.CONNECTION:
        given = rule.threshold is not None or rule.clear is not None
        return "threshold: connection has none, nor a clear; leave both out" if given else ""
    if rule.threshold is None or not math.isfinite(rule.threshold):
        return f"threshold: it is needed for {rule.metric}"
    if rule.metric.unit == "%" and not 0 <= rule.threshold <= 100:
        return f"threshold: {rule.metric} is in per cent, 0 to 100"
    clear = rule.threshold if rule.clear is None else rule.clear
    if clear > rule.threshold if rule.op == "above" else clear < rule.threshold:
        return f"clear: it must not be {rule.op} the threshold, or the alert would end at once"
    return ""
