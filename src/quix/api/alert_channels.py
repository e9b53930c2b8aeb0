"""Channels that alerts are told by. For admins alone: a webhook's address is often a secret, and choosing one makes the
server send requests."""

from __future__ import annotations

import time
from typing import Annotated, Final

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody, PathParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from quix import logs
from quix.api.access import AsUser, Parts
from quix.api.alert_rules import Name
from quix.api.alerts import TAG
from quix.api.errors import raises
from quix.api.pages import DEFAULT_LIMIT, After, Limit, Page, turn
from quix.api.problems import ADMINISTERING, Problem, ProblemError
from quix.server.accounts import can_administer
from quix.server.alerting.errors import DeliveryError
from quix.server.alerting.webhook import check_secret, check_url
from quix.server.control import Control
from quix.store.actions import Action
from quix.store.alert_channels import Channel, ChannelKind
from quix.store.ids import new_id

log = logs.get(__name__)

OneChannel = Annotated[str, PathParameter(description="The channel's id, or its name.")]

Address = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}(?!\n)$")]
"""An e-mail address as HTML's input fields take it (WHATWG HTML, section 4.10.5.1.5)."""

Addresses = Annotated[list[Address], Meta(max_length=20)]


class NewChannel(Struct, forbid_unknown_fields=True, kw_only=True):
    """A webhook with its `url`, http or https, or e-mail `to` addresses.

    With a `secret`, `whsec_` and 24 to 64 bytes in Base64, a webhook's messages are signed as Standard Webhooks says;
    it is never shown again.
    """

    name: Name
    kind: ChannelKind
    url: str | None = None
    to: Addresses = []
    secret: str | None = None

    def __repr__(self) -> str:
        return f"NewChannel(name={self.name!r})"


class ChannelChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What of a channel is to be otherwise; what is left out stays as it is. A null `secret` takes it away."""

    name: Name | UnsetType = UNSET
    url: str | UnsetType = UNSET
    to: Addresses | UnsetType = UNSET
    secret: str | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return "ChannelChange()"


@get(
    "/alerts/channels",
    operation_id="listChannels",
    summary="List channels",
    tags=[TAG],
    may=can_administer,
    whole=True,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING),
)
async def list_channels(control: Parts, after: After = None, limit: Limit = DEFAULT_LIMIT) -> Page[Channel]:
    """Return the channels, the oldest first."""
    return await turn(control.store.alert_channels.page, lambda channel: channel.id, after, limit)


_WRITING: Final = (Problem.REQUEST_INVALID, Problem.BODY_TOO_LARGE, *ADMINISTERING, Problem.ALREADY_EXISTS)


@post(
    "/alerts/channels",
    operation_id="addChannel",
    summary="Add a channel",
    tags=[TAG],
    may=can_administer,
    whole=True,
    audits=Action.ALERT_CHANNEL_ADDED,
    responses=raises(*_WRITING),
)
async def add_channel(control: Parts, request: AsUser, data: JSONBody[NewChannel]) -> Channel:
    """Add a channel."""
    now = time.time()
    with control.audit.act(request.user, Action.ALERT_CHANNEL_ADDED, target=data.name, kind=data.kind.value) as act:
        channel = Channel(
            id=new_id(now),
            name=data.name,
            kind=data.kind,
            url=data.url,
            to=data.to,
            has_secret=data.secret is not None,
            created_at=now,
            last_sent_at=None,
            last_error=None,
        )
        _check(channel, data.secret)
        sealed = None if data.secret is None else control.alerts.seal(channel.id, data.secret)
        await control.store.alert_channels.add(channel, sealed, act.kept())
    log.info("channel added", user=request.user.name, channel=channel.name, kind=channel.kind.value)
    return channel


@patch(
    "/alerts/channels/{id:str}",
    operation_id="changeChannel",
    summary="Change a channel",
    tags=[TAG],
    may=can_administer,
    whole=True,
    audits=Action.ALERT_CHANNEL_CHANGED,
    responses=raises(*_WRITING, Problem.CHANNEL_UNKNOWN),
)
async def change_channel(
    control: Parts, request: AsUser, id: OneChannel, data: JSONBody[ChannelChange]  # noqa: A002
) -> Channel:  # fmt: skip
    """Change a channel, named by its id or its name; what waits to be sent goes to where it says then."""
    given = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    with control.audit.act(request.user, Action.ALERT_CHANNEL_CHANGED, target=id, changed=" ".join(given)) as act:
        known = await _one(control, id)
        act.about(known.name)
        sealed, secret = await control.store.alert_channels.secret(known.id), given.pop("secret", UNSET)
        if secret is not UNSET:
            sealed = None if secret is None else control.alerts.seal(known.id, secret)
        channel = msgspec.structs.replace(known, **given, has_secret=sealed is not None)
        _check(channel, None if secret is UNSET else secret)
        if not await control.store.alert_channels.put(channel, sealed, act.kept()):
            raise ProblemError(Problem.CHANNEL_UNKNOWN)
    log.info("channel changed", user=request.user.name, channel=channel.name)
    return channel


@delete(
    "/alerts/channels/{id:str}",
    operation_id="removeChannel",
    summary="Remove a channel",
    tags=[TAG],
    may=can_administer,
    whole=True,
    audits=Action.ALERT_CHANNEL_REMOVED,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING, Problem.CHANNEL_UNKNOWN),
)
async def remove_channel(control: Parts, request: AsUser, id: OneChannel) -> None:  # noqa: A002 - it is the path's name
    """Remove a channel; rules forget it, and what waits to be sent by it is not sent."""
    with control.audit.act(request.user, Action.ALERT_CHANNEL_REMOVED, target=id) as act:
        channel = await _one(control, id)
        act.about(channel.name)
        if not await control.store.alert_channels.remove(channel.id, act.kept()):
            raise ProblemError(Problem.CHANNEL_UNKNOWN)
    control.alerts.changed()
    log.info("channel removed", user=request.user.name, channel=channel.name)


@post(
    "/alerts/channels/{id:str}/test",
    operation_id="testChannel",
    summary="Test a channel",
    tags=[TAG],
    status_code=204,
    may=can_administer,
    whole=True,
    audits=Action.ALERT_CHANNEL_TESTED,
    responses=raises(Problem.REQUEST_INVALID, *ADMINISTERING, Problem.CHANNEL_UNKNOWN, Problem.DELIVERY_FAILED),
)
async def test_channel(control: Parts, request: AsUser, id: OneChannel) -> None:  # noqa: A002 - it is the path's name
    """Send a test message now. Where it is not taken, the detail says what the receiver or the SMTP server said."""
    with control.audit.act(request.user, Action.ALERT_CHANNEL_TESTED, target=id) as act:
        channel = await _one(control, id)
        act.about(channel.name)
        try:
            await control.alerts.test(channel, request.user.name)
        except DeliveryError as error:
            raise ProblemError(Problem.DELIVERY_FAILED, str(error)) from error


async def _one(control: Control, text: str) -> Channel:
    channel = await control.store.alert_channels.find(text)
    if channel is None:
        raise ProblemError(Problem.CHANNEL_UNKNOWN)
    return channel


def _check(channel: Channel, secret: str | None) -> None:
    """Raise where a channel is not what its kind needs."""
    if channel.kind is ChannelKind.WEBHOOK:
        if channel.to:
            raise ProblemError(Problem.REQUEST_INVALID, "to: a webhook has a url, and no addresses")
        check_url(channel.url or "")
        if secret is not None:
            check_secret(secret)
    elif channel.url is not None or channel.has_secret:
        raise ProblemError(Problem.REQUEST_INVALID, "url, secret: e-mail has addresses (to) alone")
    elif not channel.to:
        raise ProblemError(Problem.REQUEST_INVALID, "to: at least one address is needed")
