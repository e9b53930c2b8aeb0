"""Where the output of many backends goes: shown as it comes, shown at the end of each, or told in JSON."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from typing import IO, TYPE_CHECKING, Final, Protocol

import msgspec

from quix.cli.tally import Result

if TYPE_CHECKING:
    from quix.cli.screen import Screen
    from quix.cli.targets import Target
    from quix.wire.runs import StreamName

_TOLD: Final = 2**16
"""Bytes of each stream that a line of JSON has at most."""

_IN_MEMORY: Final = 2**16
_BLOCK: Final = 2**16


class Sink(Protocol):
    """Takes what is written, and how it ended."""

    def wrote(self, target: Target, stream: StreamName, data: bytes) -> None: ...
    def ended(self, target: Target, result: Result) -> None: ...


class Lines:
    """Shows each line as it comes."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def wrote(self, target: Target, stream: StreamName, data: bytes) -> None:
        self._screen.wrote(target, stream, data)

    def ended(self, target: Target, result: Result) -> None:
        self._screen.finish(target)
        if not result.is_good:
            self._screen.say(f"quix: {target.name}: {result.detail or result.why}")


class Groups(Lines):
    """Shows what one backend wrote when it ends; until then it is in files where it is much."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(screen)
        self._kept: dict[str, dict[StreamName, IO[bytes]]] = {}

    def wrote(self, target: Target, stream: StreamName, data: bytes) -> None:
        streams = self._kept.setdefault(target.id, {})
        if stream not in streams:
            streams[stream] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed in `ended`
        streams[stream].write(data)

    def ended(self, target: Target, result: Result) -> None:
        for stream, kept in sorted(self._kept.pop(target.id, {}).items(), reverse=True):  # stdout first
            with kept:
                kept.seek(0)
                while block := kept.read(_BLOCK):
                    self._screen.wrote(target, stream, block)
        super().ended(target, result)


class Starts(Lines):
    """Shows the backend and the run of each program that was started."""

    def ended(self, target: Target, result: Result) -> None:
        if result.is_good:
            self._screen.print(f"{target.name} {result.run}")
        else:
            super().ended(target, result)


class Documents:
    """Prints a line of JSON for each backend, with the last part of what it wrote."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._tails: defaultdict[tuple[str, StreamName], _Tail] = defaultdict(_Tail)

    def wrote(self, target: Target, stream: StreamName, data: bytes) -> None:
        self._tails[target.id, stream].add(data)

    def ended(self, target: Target, result: Result) -> None:
        out, err = self._pop(target, "stdout"), self._pop(target, "stderr")
        whole = msgspec.structs.replace(
            result, stdout=out.text, stdout_cut=out.cut, stderr=err.text, stderr_cut=err.cut
        )
        self._screen.print(msgspec.json.encode(whole).decode())

    def _pop(self, target: Target, stream: StreamName) -> _Tail:
        return self._tails.pop((target.id, stream), _Tail())


class _Tail:
    """The last bytes of a stream; `cut` before them are gone."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.cut = 0

    def add(self, data: bytes) -> None:
        self._data += data
        beyond = max(0, len(self._data) - _TOLD)
        del self._data[:beyond]
        self.cut += beyond

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace")
