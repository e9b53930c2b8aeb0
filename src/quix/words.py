"""Words that programs compare, each with the sentence that says it to a person."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Word(StrEnum):
    """Base of an enumeration whose members are written as `NAME = "word", "Its sentence."`."""

    sentence: str

    def __new__(cls, word: str, sentence: str) -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.sentence = sentence
        return member
