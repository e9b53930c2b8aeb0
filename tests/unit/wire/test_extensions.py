"""What two peers agree on beyond the seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quix.wire import messages
from quix.wire.extensions import SUPPORTED, agree

names = st.text(max_size=3)
offers = st.dictionaries(names, st.integers(-3, 5))
supports = st.dictionaries(names, st.integers(1, 5))


def test_a_seed_peer_offers_nothing_and_gets_nothing() -> None:
    assert agree({}) == {}


def test_only_what_both_have_at_the_lower_of_the_highest_versions() -> None:
    assert agree({"a": 3, "b": 1, "unknown": 1}, {"a": 2, "b": 4, "c": 1}) == {"a": 2, "b": 1}


def test_a_version_below_one_is_no_offer() -> None:
    assert agree({"a": 0, "b": -1, "c": 1}, {"a": 1, "b": 1, "c": 1}) == {"c": 1}


@given(offered=offers, supported=supports)
def test_the_agreement_is_within_what_each_side_named(offered: dict[str, int], supported: dict[str, int]) -> None:
    agreed = agree(offered, supported)
    assert all(1 <= version <= min(offered[name], supported[name]) for name, version in agreed.items())
    assert set(agreed) == {name for name in supported if offered.get(name, 0) >= 1}


@given(one=supports, other=supports)
def test_both_sides_come_to_the_same_agreement(one: dict[str, int], other: dict[str, int]) -> None:
    assert agree(one, other) == agree(other, one)


def test_every_extension_that_a_request_needs_is_supported() -> None:
    kinds = [kind for kind in vars(messages).values() if isinstance(kind, type) and issubclass(kind, messages.Request)]
    needed = {kind.extension for kind in kinds} - {None}
    assert needed
    assert needed <= set(SUPPORTED)
    assert all(version >= 1 for version in SUPPORTED.values())
