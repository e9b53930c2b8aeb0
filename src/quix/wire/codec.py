"""Bytes to envelopes and back (RFC 8259 JSON, one object a message).

Decoding is in two steps: the envelope at once, with `msg` left as raw JSON, and `msg` only when it is
known what it should be. The first step costs the same for every message, however large.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from quix.wire.messages import Request

T = TypeVar("T")

MAX_RID: Final = 2**53 - 1
"""The largest integer that every JSON implementation keeps exactly (RFC 8259 section 6)."""

_LONGEST_DETAIL: Final = 200
"""Characters kept of a text that may repeat what the peer sent."""

_LONGEST_SENTENCE: Final = 4096
"""Characters of a failure's `detail`; a peer that sends more has not understood what it is for."""

Rid = Annotated[int, Meta(ge=0, le=MAX_RID)]


class Envelope(Struct, gc=False):
    """A message as it came: a request where `req` is set, else a response."""

    rid: int
    msg: Raw
    req: str | UnsetType = UNSET
    auth: str | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return f"Envelope(rid={self.rid}, req={self.req!r})"


class MalformedError(ValueError):
    """A message that cannot be understood; `rid` is set where the sender can at least be told which.

    `req` is what a request called itself, and empty where that was no string.
    """

    def __init__(self, detail: str, rid: int | None = None, *, is_request: bool = False, req: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.rid = rid
        self.is_request = is_request
        self.req = req


class ErrorReport(Struct, gc=False):
    """A `message_invalid` from the peer: `rid` is null, so it answers nothing in particular."""

    detail: str


class InvalidUtf8Error(ValueError):
    """A text message that is not UTF-8 (RFC 6455 section 8.1)."""


class _RequestOut(Struct, gc=False):
    req: str
    rid: int
    msg: Any


class _AuthenticateOut(Struct, gc=False):
    auth: str | None
    req: str
    rid: int
    msg: Any

    def __repr__(self) -> str:
        return f"_AuthenticateOut(rid={self.rid})"


class _ResponseOut(Struct, gc=False):
    rid: int | None
    msg: Any


class Failure(Struct, kw_only=True):
    """A refusal as it travels; `authenticate` says `success: false` where all else says `result: failure`."""

    success: bool | UnsetType = UNSET
    result: str | UnsetType = UNSET
    reason: Annotated[str, Meta(max_length=64)]
    detail: Annotated[str, Meta(max_length=_LONGEST_SENTENCE)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.success is not False and self.result != "failure":
            raise ValueError("neither a success nor a failure")


_encode = msgspec.json.Encoder().encode
_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_failure = msgspec.json.Decoder(Failure).decode


class _NoSuccess(Struct, tag_field="result", tag="failure"):
    """What else `result` may be. msgspec asks for the tag only where there is a choice of types, and an answer
    that says nothing must not pass for a success."""

    def __post_init__(self) -> None:
        raise ValueError("a failure")


@cache
def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a message type; made once a type. `result`, where the type has it, is required."""
    is_tagged = isinstance(kind, type) and issubclass(kind, Struct) and kind.__struct_config__.tag_field is not None
    return msgspec.json.Decoder(kind | _NoSuccess if is_tagged else kind)


def encode_request(rid: int, request: Request[Any]) -> bytes:
    return _encode(_RequestOut(request.req, rid, request))


def encode_authenticate(rid: int, request: Request[Any], auth: str | None) -> bytes:
    return _encode(_AuthenticateOut(auth, request.req, rid, request))


def encode_response(rid: int | None, msg: Any) -> bytes:
    return _encode(_ResponseOut(rid, msg))


def encode_failure(rid: int | None, req: str | None, reason: str, detail: str | None) -> bytes:
    """Encode a refusal of the request named `req`, with `detail` unless it is None."""
    shape: dict[str, Any] = {"success": False} if req == "authenticate" else {"result": "failure"}
    bounded = UNSET if detail is None else detail[:_LONGEST_SENTENCE]
    return encode_response(rid, Failure(**shape, reason=reason, detail=bounded))


def decode_envelope(data: bytes, max_depth: int) -> Envelope | ErrorReport:
    """Decode one message.

    Raises:
        InvalidUtf8Error: the bytes are not UTF-8.
        MalformedError: they are no envelope, or nested deeper than `max_depth`.
    """
    if not data.isascii():
        _check_utf8(data)
    # A level takes two bytes. Brackets inside strings count too, so this is only a bound; the exact answer is for the
    # few above it.
    if len(data) > 2 * max_depth and data.count(b"[") + data.count(b"{") > max_depth and _is_deeper(data, max_depth):
        raise MalformedError(f"nested deeper than {max_depth} levels")
    try:
        envelope = _decode_envelope(data)
    except (msgspec.DecodeError, RecursionError):
        return _explain(data)
    return envelope if 0 <= envelope.rid <= MAX_RID else _explain(data)


def decode_failure(raw: Raw) -> Failure | None:
    """Return the refusal that `raw` is, or None where it is none."""
    try:
        return _decode_failure(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def field_detail(error: Exception, root: str = "msg") -> str:
    """Turn a validation error into a sentence that names the field by its path below `root`.

    >>> field_detail(ValueError("Expected `int`, got `str` - at `$.pid`"))
    'msg.pid: expected int, got str'
    """
    text, _, path = str(error).partition(" - at ")
    key, _, inside = path.strip("`").rpartition("` in `")  # "at `key` in `$.labels`" where a key does not fit
    path = inside.removeprefix("$") + (f", {key}" if key else "")
    if missing := re.fullmatch(r"Object missing required field `(.+)`", text):
        return f"{root}{path}.{missing[1]}: this field is required"
    text = text.replace("`", "")[:_LONGEST_DETAIL]
    return f"{root}{path}: {text[:1].lower()}{text[1:]}"


def _check_utf8(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise InvalidUtf8Error(f"not UTF-8 at byte {error.start}") from error


_OPEN_CLOSE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def _is_deeper(data: bytes, max_depth: int) -> bool:
    """Tell whether JSON is nested deeper than `max_depth`; of what is no JSON it may say anything.

    Even a peer that is not authenticated can have this called on the largest message: no loop over characters here.
    """
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(unescaped.split(b'"')[::2])
    brackets = outside_strings.translate(_OPEN_CLOSE, _NO_BRACKETS)
    for _ in range(max_depth):
        # Each turn takes the innermost level away everywhere.
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            return False
        brackets = shorter
    return bool(brackets)


def _explain(data: bytes) -> ErrorReport:
    """Find out what is wrong with a message that is no envelope. Off the hot path, so it may be slow."""
    try:
        tree = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedError(f"not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise MalformedError("not a JSON object")
    rid = tree.get("rid")
    if "req" not in tree and "rid" in tree and rid is None:
        return ErrorReport(str(tree.get("msg"))[:_LONGEST_DETAIL])
    try:
        rid = msgspec.convert(rid, Rid)
    except msgspec.ValidationError:
        raise MalformedError(f"rid: an integer from 0 to {MAX_RID} is required") from None
    is_request = "req" in tree
    req = tree["req"] if isinstance(tree.get("req"), str) else ""
    raise MalformedError(_fault(tree), rid, is_request=is_request, req=req)


def _fault(tree: dict[str, Any]) -> str:
    """Name the field because of which `tree` is no envelope."""
    if "msg" not in tree:
        return "msg: this field is required"
    for name, kind in (("req", str), ("auth", str | None)):
        try:
            msgspec.convert(tree.get(name, ""), kind)
        except msgspec.ValidationError as error:
            return field_detail(error, name)
    return "not a Quix message"
