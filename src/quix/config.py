"""Settings from four places: flags, then environment (`QUIX_*`), then a TOML file, then defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_origin

import msgspec

from quix.exits import Exit, QuixError

S = TypeVar("S", bound=msgspec.Struct)

PREFIX = "QUIX_"


def load(kind: type[S], flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None) -> S:
    """Build settings of type `kind`.

    A field `a_b` is the flag `a_b`, the variable `QUIX_A_B` and the TOML key `a_b`; a field `c` of a nested table
    `t` is `QUIX_T__C` and `[t] c`. A flag that is None was not given. Variables that name no field are left alone.
    Where a field is a list, flag and variable have its values with commas in between.

    Raises:
        QuixError: the file cannot be read, names a setting that does not exist, or a value does not fit.
    """
    values = _read(file) if file is not None else {}
    _overlay(values, _from_environ(kind, environ))
    _overlay(values, _from_flags(kind, flags))
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        where = path.strip("`").removeprefix("$.") or "settings"
        raise QuixError(f"{where}: {text}", Exit.CONFIG) from error


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise QuixError(f"config: {file}: {error.strerror}", Exit.CONFIG) from error
    except tomllib.TOMLDecodeError as error:
        raise QuixError(f"config: {file}: {error}", Exit.CONFIG) from error


def _from_environ(kind: type[msgspec.Struct], environ: Mapping[str, str], prefix: str = PREFIX) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = prefix + field.name.upper()
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            if nested := _from_environ(field.type, environ, name + "__"):
                found[field.name] = nested
        elif name in environ:
            found[field.name] = _value(field.type, environ[name])
    return found


def _from_flags(kind: type[msgspec.Struct], flags: Mapping[str, Any]) -> dict[str, Any]:
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    return {name: _value(types.get(name), value) for name, value in flags.items() if value is not None}


def _value(kind: Any, given: Any) -> Any:
    """Return what was given for a field of type `kind`, taken apart where it is a list written as one word."""
    if get_origin(kind) is tuple and isinstance(given, str):
        return [word.strip() for word in given.split(",") if word.strip()]
    return given


def _overlay(base: dict[str, Any], above: Mapping[str, Any]) -> None:
    for name, value in above.items():
        if isinstance(value, Mapping) and isinstance(base.get(name), dict):
            _overlay(base[name], value)
        else:
            base[name] = value


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise msgspec.ValidationError(f"expected {kind.__name__}, got {type(value).__name__}")
