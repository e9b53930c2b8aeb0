"""The messages of the seed's page as data, and a check that takes them to the letter.

Written from that page alone, for peers that know nothing else: a field more, a field less, or a value of another
type is a fault. Comments and trailing commas of the page are left out, as JSON has none.
"""

from __future__ import annotations

from typing import Any, Final

Shape = Any
"""A type, a fixed string or None, a dict of fields, a list of one shape for an array, a tuple for an array of fixed
length, or a function that tells whether a value will do."""


class OffThePageError(Exception):
    """A message is not what the seed's page shows."""


def check(value: Any, shape: Shape, path: str = "message") -> None:
    """Raise OffThePageError, which names the field, where `value` is not of the shape."""
    if isinstance(shape, dict):
        _check_fields(value, shape, path)
    elif isinstance(shape, list | tuple):
        _check_array(value, shape, path)
    elif not _fits(value, shape):
        raise OffThePageError(f"{path}: {value!r} is not {getattr(shape, '__name__', repr(shape))}")


def _check_fields(value: Any, shape: dict[str, Shape], path: str) -> None:
    if not isinstance(value, dict):
        raise OffThePageError(f"{path}: {value!r} is no object")
    if value.keys() != shape.keys():
        raise OffThePageError(f"{path}: has the fields {sorted(value)}, the page shows {sorted(shape)}")
    for name, inner in shape.items():
        check(value[name], inner, f"{path}.{name}")


def _check_array(value: Any, shape: list[Shape] | tuple[Shape, ...], path: str) -> None:
    if not isinstance(value, list):
        raise OffThePageError(f"{path}: {value!r} is no array")
    shapes = list(shape) if isinstance(shape, tuple) else shape * len(value)
    if len(value) != len(shapes):
        raise OffThePageError(f"{path}: has {len(value)} values, the page shows {len(shapes)}")
    for index, (item, inner) in enumerate(zip(value, shapes, strict=True)):
        check(item, inner, f"{path}[{index}]")


def _fits(value: Any, shape: Shape) -> bool:
    if shape is None or isinstance(shape, str | bool):
        return type(value) is type(shape) and bool(value == shape)
    if isinstance(shape, type):
        return type(value) is shape  # so that true is no number
    return bool(shape(value))


def number(value: Any) -> bool:
    """Tell whether a value is a JSON number."""
    return type(value) in (int, float)


def share(value: Any) -> bool:
    """Tell whether a value is a number from 0 to 1.00."""
    return number(value) and 0 <= value <= 1


def disks(value: Any) -> bool:
    """Tell whether a value is `disk_util`: [bytes used, bytes free] of each device."""
    return isinstance(value, dict) and all(
        name and isinstance(pair, list) and len(pair) == 2 and all(type(count) is int and count >= 0 for count in pair)
        for name, pair in value.items()
    )


def any_object(value: Any) -> bool:
    return isinstance(value, dict)


def request(req: str, msg: Shape) -> Shape:
    return {"req": req, "rid": int, "msg": msg}


def response(msg: Shape) -> Shape:
    return {"rid": int, "msg": msg}


# -- what a client sends first ------------------------------------------------------------------

CREDENTIALS: Final[Shape] = {
    "auth": None, "req": "authenticate", "rid": int, "msg": {"username": str, "password": str},
}  # fmt: skip
TOKEN: Final[Shape] = {"auth": str, "req": "authenticate", "rid": int, "msg": {}}
NEW_TOKEN: Final[Shape] = response({"success": True, "token": str, "validity": int})
TOKEN_ACCEPTED: Final[Shape] = response({"success": True, "validity": int})
NOT_AUTHENTICATED: Final[Shape] = response({"success": False, "reason": str})

# -- what a server asks, and what a client answers ----------------------------------------------

EXECUTE: Final[Shape] = request("execute", {"cmd": [str]})
EXECUTED: Final[Shape] = response({"result": "success", "proc_id": int})
VIEW_RUNNING: Final[Shape] = request("view_running", {"verb": int})
# The page prints `"msg": { [ ... ] }`, which is no JSON; what is meant is the array.
RUNNING: Final[Shape] = response(
    [{"title": str, "pid": int, "cpu_util": number, "mem_util": number, "reqc": str, "port_util": [int]}]
)
PROC_SIGNAL: Final[Shape] = request("proc_signal", {"pid": int, "mode": str})
SIGNALLED: Final[Shape] = response({"result": "success"})
TELEMETRY: Final[Shape] = request("telemetry", {"stat_types": [str]})
VPN_STATUS: Final[Shape] = {"ifname": str, "conn_type": str, "conn_host": str, "conn_ip4": str, "conn_ip6": str}
TELE_DATA: Final[dict[str, Shape]] = {
    "ttl_cpu_usage": [share],
    "ttl_mem_usage": (int, int, int),
    "disk_util": disks,
    "vpn_status": VPN_STATUS,
}
FAILED: Final[Shape] = response({"result": "failure", "reason": str})
"""The page shows a failure of `authenticate` alone. This is the same with the word that its other answers use."""


def measured(stat_types: list[str], *, has_vpn: bool) -> Shape:
    """Return the shape of the answer to `telemetry`; a client without a VPN has null to show."""
    asked = {name: TELE_DATA[name] for name in stat_types}
    if "vpn_status" in asked and not has_vpn:
        asked["vpn_status"] = None
    return response({"tele_data": asked})


# -- what a client asks, and what a server answers ----------------------------------------------

GET_VPN_CONF: Final[Shape] = request("get_vpn_conf", {"conf_type": str, "tun_mode": str})
VPN_CONF: Final[Shape] = response({"result": "success", "conf_type": str, "conf_data": str})
