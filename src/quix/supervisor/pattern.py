"""Which commands an entry of the owner's list stands for (`commands` in policy.toml)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

ANY_MORE: Final = "..."
"""As the last word of an entry: any further arguments, or none."""


class Pattern(Struct, frozen=True):
    """An entry of the list: `text` as its owner wrote it, `words` as a shell would split it (shlex)."""

    text: str
    words: tuple[str, ...]

    def matches(self, cmd: Sequence[str]) -> bool:
        """Return whether this entry stands for an argument vector.

        The program's name must be the very same text: what `uptime` leads to is found in the supervisor's own PATH,
        what `./uptime` leads to lies where programs can write.
        """
        program, *words = self.words
        if not cmd or cmd[0] != program:
            return False
        arguments = cmd[1:]
        if not words:
            return True
        if words[-1] == ANY_MORE:
            words.pop()
            arguments = arguments[: len(words)]
        return len(words) == len(arguments) and all(map(_matches, words, arguments))


def parse(text: str) -> Pattern:
    """Read an entry.

    Raises:
        ValueError: it cannot stand for a command; says why.
    """
    words = shlex.split(text)
    if not words:
        raise ValueError("names no program")
    program = words[0]
    if "*" in program or program == ANY_MORE:
        raise ValueError("the program must be named in full; * and ... are for its arguments")
    if "/" in program and not program.startswith("/"):
        # It would be looked for in the working folder, which whoever asks may choose, and programs may fill.
        raise ValueError("the program must be a name without a slash, or a path that begins with one")
    if ANY_MORE in words[:-1]:
        raise ValueError("... can only be the last word")
    return Pattern(text, tuple(words))


def _matches(word: str, argument: str) -> bool:
    """Match one argument; a `*` stands for any characters within one part of a path.

    An owner who writes `tar -cf backup.tar *` means files of one folder. So a `*` brings in no slash and no `..`,
    which lead elsewhere, and no option, which can mean anything (`--checkpoint-action=exec=sh`).
    """
    if "*" not in word:
        return word == argument
    if word.startswith("*") and argument.startswith("-"):
        return False
    if argument.count("..") > word.count(".."):
        return False
    ours, theirs = word.split("/"), argument.split("/")
    return len(ours) == len(theirs) and all(map(_matches_part, ours, theirs))


def _matches_part(part: str, text: str) -> bool:
    # By hand, since a regular expression of several stars takes a time that whoever asks can make very long.
    first, *middle = part.split("*")
    if not middle:
        return part == text
    last = middle.pop()
    at, end = len(first), len(text) - len(last)
    if at > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
