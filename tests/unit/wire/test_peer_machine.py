"""Two peers that talk to each other, against a model: whatever the order, every request has exactly one outcome."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quix.wire.messages import Execute, Executed
from quix.wire.peer import Answered, Incoming, Limits, Peer, Send, TooManyRequestsError
from quix.wire.reasons import Reason, Refusal

LIMITS = Limits(in_progress=4)
sides = st.sampled_from([0, 1])


class Side:
    """One end: its peer, what is on the way to it, and the outcome of each request it made."""

    def __init__(self) -> None:
        self.peer: Peer[str] = Peer(LIMITS)
        self.peer.accept("token", {})
        self.inbox: list[bytes] = []
        self.owed: list[int] = []
        self.outcomes: dict[str, list[Any]] = {}
        self.deadlines: dict[str, float] = {}
        self.meant: dict[int, str] = {}


class TwoPeers(RuleBasedStateMachine):
    """The link between the two keeps no order, so that messages overtake each other."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = (Side(), Side())
        self.now = 0.0
        self.asked = 0

    def is_free(self, side: Side) -> bool:
        return sum(not outcomes for outcomes in side.outcomes.values()) < LIMITS.in_progress

    @rule(index=sides, patience=st.integers(1, 5))
    def ask(self, index: int, patience: int) -> None:
        side, other = self.ends[index], self.ends[1 - index]
        self.asked += 1
        name = f"{index}:{self.asked}"
        try:
            data = side.peer.request(Execute(cmd=[name]), name, self.now + patience)
        except TooManyRequestsError:
            assert not self.is_free(side)
            return
        assert self.is_free(side)
        side.outcomes[name] = []
        side.deadlines[name] = self.now + patience
        other.inbox.append(data)

    @precondition(lambda self: any(side.inbox for side in self.ends))
    @rule(data=st.data(), index=sides)
    def deliver(self, data: st.DataObject, index: int) -> None:
        side, other = self.ends[index], self.ends[1 - index]
        if not side.inbox:
            return
        message = side.inbox.pop(data.draw(st.integers(0, len(side.inbox) - 1)))
        event = side.peer.receive(message)
        if isinstance(event, Incoming):
            side.meant[event.rid] = json.loads(bytes(event.msg))["cmd"][0]
            side.owed.append(event.rid)
        elif isinstance(event, Answered):
            side.outcomes[event.waiter].append(msgspec.json.decode(event.msg))
        elif isinstance(event, Send):
            other.inbox.append(event.data)
        else:
            assert event is None

    @precondition(lambda self: any(side.owed for side in self.ends))
    @rule(data=st.data(), index=sides, refuses=st.booleans())
    def answer(self, data: st.DataObject, index: int, *, refuses: bool) -> None:
        side, other = self.ends[index], self.ends[1 - index]
        if not side.owed:
            return
        rid = side.owed.pop(data.draw(st.integers(0, len(side.owed) - 1)))
        number = int(side.meant.pop(rid).partition(":")[2])
        if refuses:
            other.inbox.append(side.peer.refuse(rid, Refusal(Reason.SPAWN_FAILED)))
        else:
            other.inbox.append(side.peer.respond(rid, Executed(number)))

    @rule(seconds=st.floats(0.1, 6))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for side in self.ends:
            late = side.peer.expire(self.now)
            assert all(side.deadlines[name] <= self.now for name in late)
            for name in late:
                side.outcomes[name].append("timeout")
            assert all(
                outcomes or side.deadlines[name] > self.now for name, outcomes in side.outcomes.items()
            )  # nobody who is late was left waiting

    @rule(index=sides)
    def a_stray_response_arrives(self, index: int) -> None:
        peer = self.ends[index].peer
        before = peer.unmatched
        assert peer.receive(b'{"rid":9007199254740991,"msg":{"result":"success","proc_id":1}}') is None
        assert peer.unmatched == before + 1

    @rule()
    def the_connection_is_lost(self) -> None:
        for side in self.ends:
            for name in side.peer.lost():
                side.outcomes[name].append("connection_lost")
            assert all(len(outcomes) == 1 for outcomes in side.outcomes.values())
            assert not side.peer.is_waiting
        self.ends = (Side(), Side())

    @invariant()
    def each_request_has_at_most_one_outcome_and_it_is_its_own(self) -> None:
        for side in self.ends:
            for name, outcomes in side.outcomes.items():
                assert len(outcomes) <= 1
                for outcome in outcomes:
                    if isinstance(outcome, dict) and outcome["result"] == "success":
                        assert outcome["proc_id"] == int(name.partition(":")[2])

    @invariant()
    def a_peer_waits_exactly_where_an_outcome_is_missing(self) -> None:
        for side in self.ends:
            assert side.peer.is_waiting == any(not outcomes for outcomes in side.outcomes.values())

    @invariant()
    def no_more_is_owed_than_was_let_through(self) -> None:
        for side in self.ends:
            assert len(side.owed) == len(set(side.owed)) <= LIMITS.in_progress


TestTwoPeers = TwoPeers.TestCase
TestTwoPeers.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
