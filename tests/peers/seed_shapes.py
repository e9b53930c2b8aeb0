"""The messages of the seed's page, field by field, as somebody would note them who has read nothing else.

`check` is strict: a field too many, a field too few, or another type is an error.
"""

from __future__ import annotations

from typing import Any

STR, INT, NUMBER = str, int, (int, float)


class ShapeError(AssertionError):
    """A message is not as the page shows it."""


def check(value: Any, shape: Any, path: str = "$") -> None:
    """Raise ShapeError unless `value` has exactly the shape."""
    if isinstance(shape, dict):
        if not isinstance(value, dict) or set(value) != set(shape):
            raise ShapeError(f"{path}: {value!r} has not exactly the fields {sorted(shape)}")
        for key, inner in shape.items():
            check(value[key], inner, f"{path}.{key}")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise ShapeError(f"{path}: {value!r} is no array")
        for index, item in enumerate(value):
            check(item, shape[0], f"{path}[{index}]")
    elif isinstance(shape, type | tuple):
        if not isinstance(value, shape) or isinstance(value, bool):
            raise ShapeError(f"{path}: {value!r} is no {shape}")
    elif value != shape or type(value) is not type(shape):
        raise ShapeError(f"{path}: {value!r} is not {shape!r}")


AUTHENTICATE_FIRST = {
    "auth": None,
    "req": "authenticate",
    "rid": INT,
    "msg": {"username": STR, "password": STR},
}
AUTHENTICATE_AGAIN = {"auth": STR, "req": "authenticate", "rid": INT, "msg": {}}
AUTHENTICATED_FIRST = {"success": True, "token": STR, "validity": INT}
AUTHENTICATED_AGAIN = {"success": True, "validity": INT}
NOT_AUTHENTICATED = {"success": False, "reason": STR}

EXECUTE = {"req": "execute", "rid": INT, "msg": {"cmd": [STR]}}
EXECUTED = {"result": "success", "proc_id": INT}
VIEW_RUNNING = {"req": "view_running", "rid": INT, "msg": {"verb": INT}}
RUNNING = [
    {"title": STR, "pid": INT, "cpu_util": NUMBER, "mem_util": NUMBER, "reqc": STR, "port_util": [INT]},
]
PROC_SIGNAL = {"req": "proc_signal", "rid": INT, "msg": {"pid": INT, "mode": STR}}
SIGNALLED = {"result": "success"}
GET_VPN_CONF = {"req": "get_vpn_conf", "rid": INT, "msg": {"conf_type": STR, "tun_mode": STR}}
VPN_CONF = {"result": "success", "conf_type": STR, "conf_data": STR}
TELEMETRY = {"req": "telemetry", "rid": INT, "msg": {"stat_types": [STR]}}
VPN_STATUS = {"ifname": STR, "conn_type": STR, "conn_host": STR, "conn_ip4": STR, "conn_ip6": STR}
FAILURE = {"result": "failure", "reason": STR}
"""The page shows a failure of authenticate only; this is its pattern with the `result` of all other answers."""
