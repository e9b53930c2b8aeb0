"""docs/protocol.md says what the code does: its examples are decoded, its tables compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import UNSET, Raw, Struct

from quix.link import outcomes
from quix.supervisor.protocol import SignalMode
from quix.wire import codec, extensions, messages
from quix.wire.messages import Request, SignalRun
from quix.wire.peer import Incoming, Limits, Peer
from quix.wire.reasons import CloseCode, Reason
from quix.wire.runs import DEFAULT_KEEP, Outcome, RunLimits, RunOptions, RunState
from quix.wire.samples import LARGEST_PUSH, Sample

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()

REQUESTS: dict[str, type[Request[Any]]] = {
    kind.req if kind.extension is None else f"{kind.req}@{kind.extension}": kind for kind in Request.__subclasses__()
}
"""All kinds of requests. One of an extension is marked with its name: it may be called like one of the seed."""

SHARED: dict[type[Struct], str] = {
    RunOptions: "Run options",
    RunLimits: "Run limits",
    RunState: "Run state",
    Sample: "Sample",
}
"""What is part of several messages, and the section that explains it."""


class Example(NamedTuple):
    name: str
    role: str
    text: str

    @property
    def req(self) -> str:
        return self.name.partition("@")[0]

    @property
    def tree(self) -> Any:
        return msgspec.json.decode(self.text)

    @property
    def envelope(self) -> codec.Envelope:
        envelope = codec.decode_envelope(self.text.encode(), Limits().depth)
        assert isinstance(envelope, codec.Envelope)
        return envelope


EXAMPLES = [
    Example(*found)
    for found in re.findall(r"^<!-- (\w+(?:@\w+)?): (\w+) -->\n```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
]


def examples(role: str) -> pytest.MarkDecorator:
    chosen = [example for example in EXAMPLES if example.role == role]
    names = [f"{example.name}-{PAGE[: PAGE.index(example.text)].count(chr(10)) + 1}" for example in chosen]
    return pytest.mark.parametrize("example", chosen, ids=names)


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no section {title}"
    return found[1]


def request_section(name: str) -> str:
    """The section of a kind of request."""
    req, _, extension = name.partition("@")
    return section(f"{req} with {extension}" if extension and req in REQUESTS else req)


def first_column(text: str) -> list[str]:
    """The words in code type, or the numbers, that begin the rows of the tables in `text`."""
    return [name or number for name, number in re.findall(r"^\| (?:`(\w+)`|(\d+))[^|]*\|", text, re.MULTILINE)]


def says_no_more(example: Any, understood: Any) -> bool:
    """Whether all that `example` says survived being decoded and encoded: `understood` may add defaults only."""
    if isinstance(example, dict) and isinstance(understood, dict):
        return all(key in understood and says_no_more(value, understood[key]) for key, value in example.items())
    if isinstance(example, list) and isinstance(understood, list):
        return len(example) == len(understood) and all(map(says_no_more, example, understood))
    return type(example) is type(understood) and bool(example == understood)


def field_names(kind: Any) -> set[str]:
    """The names of all fields of a message type, and of those within it that are of no type in `SHARED`."""
    names: set[str] = set()
    info = msgspec.inspect.type_info(kind)
    waiting: list[Any] = [info]
    while waiting:
        one = waiting.pop()
        if isinstance(one, msgspec.inspect.StructType):
            if one.cls in SHARED and one is not info:
                continue
            names.update(field.encode_name for field in one.fields)
            names.update([one.tag_field] if one.tag_field is not None else [])
            waiting.extend(field.type for field in one.fields)
        elif isinstance(one, msgspec.inspect.ListType):
            waiting.append(one.item_type)
        elif isinstance(one, msgspec.inspect.UnionType):
            waiting.extend(one.types)
    return names


# -- examples ------------------------------------------------------------------------------------


def test_every_json_block_says_which_message_it_is() -> None:
    assert PAGE.count("```json") == len(EXAMPLES) > 0
    known = set(REQUESTS) | {"message_invalid"}
    assert {example.name for example in EXAMPLES} == known
    assert {example.role for example in EXAMPLES} == {"request", "answer", "failure"}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_has_an_example_of_each_role(name: str) -> None:
    assert {example.role for example in EXAMPLES if example.name == name} == {"request", "answer", "failure"}


@examples("request")
def test_an_example_of_a_request_is_one(example: Example) -> None:
    kind = REQUESTS[example.name]
    request = codec.decoder(kind).decode(example.envelope.msg)
    if kind is messages.Authenticate:
        auth = example.envelope.auth
        assert auth is not UNSET
        understood = codec.encode_authenticate(example.tree["rid"], request, auth)
    else:
        understood = codec.encode_request(example.tree["rid"], request)
    assert says_no_more(example.tree, msgspec.json.decode(understood))


@examples("request")
def test_an_example_of_a_request_is_let_in_by_a_peer(example: Example) -> None:
    peer: Peer[None] = Peer(Limits())
    if example.req != "authenticate":
        peer.accept("token", dict(extensions.SUPPORTED))
    event = peer.receive(example.text.encode())
    assert isinstance(event, Incoming)
    assert event.req == example.req


@examples("answer")
def test_an_example_of_an_answer_is_one(example: Example) -> None:
    assert codec.decode_failure(example.envelope.msg) is None
    answer = codec.decoder(REQUESTS[example.name].answer).decode(example.envelope.msg)
    understood = msgspec.json.decode(codec.encode_response(example.tree["rid"], answer))
    assert understood == example.tree
    assert says_no_more(example.tree, understood)


@examples("failure")
def test_an_example_of_a_failure_is_one(example: Example) -> None:
    failure = codec.decode_failure(Raw(msgspec.json.encode(example.tree["msg"])))
    assert failure is not None
    detail = None if failure.detail is UNSET else failure.detail
    assert failure.reason in set(Reason)
    understood = codec.encode_failure(example.tree["rid"], example.req, failure.reason, detail)
    assert msgspec.json.decode(understood) == example.tree
    if example.name in REQUESTS:
        with pytest.raises(msgspec.DecodeError):
            codec.decoder(REQUESTS[example.name].answer).decode(msgspec.json.encode(example.tree["msg"]))


@pytest.mark.parametrize("name", REQUESTS)
def test_every_field_is_shown_in_an_example_and_explained_in_a_table(name: str) -> None:
    kind = REQUESTS[name]
    shown = {
        role: "".join(one.text for one in EXAMPLES if (one.name, one.role) == (name, role))
        for role in ("request", "answer")
    }
    rows = first_column(request_section(name))
    for role, fields in (("request", field_names(kind)), ("answer", field_names(kind.answer))):
        for field in fields:
            assert f'"{field}":' in shown[role]
            assert field in rows or field == "tele_data"
    assert set(rows) <= field_names(kind) | field_names(kind.answer)


@pytest.mark.parametrize("kind", SHARED, ids=lambda kind: kind.__name__)
def test_every_field_of_what_messages_share_is_shown_in_an_example_and_explained_in_a_table(kind: type[Struct]) -> None:
    assert first_column(section(SHARED[kind])) == [*kind.__struct_fields__]
    for field in kind.__struct_fields__:
        assert any(f'"{field}":' in example.text for example in EXAMPLES if "@" in example.name)


# -- tables --------------------------------------------------------------------------------------


def test_every_reason_stands_in_the_table_with_its_sentence() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section("Failures").partition("| reason |")[2], re.MULTILINE))
    assert rows == {reason.value: reason.sentence for reason in Reason}


def test_every_close_code_stands_in_the_table() -> None:
    assert [int(code) for code in first_column(section("Close codes"))] == [int(code) for code in CloseCode]


def test_every_extension_stands_in_the_table_with_its_version() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", section("Extensions"), re.MULTILINE)
    assert {name: int(version) for name, version in rows} == extensions.SUPPORTED
    assert f"`{extensions.SUBPROTOCOL}`" in section("Extensions")


def test_every_request_of_an_extension_says_so() -> None:
    for name, kind in REQUESTS.items():
        first_line = request_section(name).strip().splitlines()[0]
        assert re.match(r"(Agent to server|Server to agent)\b", first_line)
        named = re.findall(r"extension `(\w+)`", first_line)
        assert named == ([] if kind.extension is None else [kind.extension])


def test_every_outcome_stands_in_the_table() -> None:
    kinds = [kind for kind in outcomes.AskError.__subclasses__() if kind is not outcomes.RefusedError]
    assert set(first_column(section("Outcomes"))) == {kind.reason for kind in kinds}


def test_every_end_of_a_run_stands_in_the_table_with_its_sentence() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section("How a run ended"), re.MULTILINE))
    assert rows == {outcome.value: outcome.sentence for outcome in Outcome}


@pytest.mark.parametrize("kind", [RunOptions, RunState])
def test_every_word_that_a_field_of_a_run_can_be_stands_in_its_row(kind: type[Struct]) -> None:
    rows = {row.split("`")[1]: row for row in re.findall(r"^\| `.*$", section(SHARED[kind]), re.MULTILINE)}
    words = {name: get_args(type_) for name, type_ in get_type_hints(kind).items() if get_origin(type_) is Literal}
    assert words
    for name, choice in words.items():
        assert all(f"`{word}`" in rows[name] for word in choice)


def test_the_defaults_of_the_options_are_those_of_the_code() -> None:
    plain, text = RunOptions(), section("Run options")
    for name in ("restart", "stdin", "overflow"):
        assert re.search(rf"^\| `{name}` \|.*; `{getattr(plain, name)}` without it \|", text, re.MULTILINE)
    assert f"{DEFAULT_KEEP // 2**20} MiB without it" in text


def test_the_signals_are_those_of_the_code() -> None:
    assert re.findall(r"SIG[A-Z0-9]+", request_section("proc_signal@process").partition("| `run` |")[0]) == [
        *get_args(SignalMode)
    ]
    assert SignalRun.extension == extensions.PROCESS


def test_the_largest_push_is_that_of_the_code() -> None:
    assert f"{LARGEST_PUSH} at most" in request_section("push_samples@telemetry")


def test_the_envelopes_fields_stand_in_the_tables() -> None:
    assert set(first_column(section("Messages"))) == set(codec.Envelope.__struct_fields__)
    assert set(first_column(section("Failures").partition("| reason |")[0])) == set(codec.Failure.__struct_fields__)


def test_the_limits_are_those_of_the_code() -> None:
    limits, text = Limits(), section("Transport")
    assert limits.message_bytes == 2**20
    assert "| size of a message | 1 MiB |" in text
    assert f"| nesting of a message | {limits.depth} levels |" in text
    assert f"| requests of one peer in progress | {limits.in_progress} |" in text
    assert f"| messages in a row that cannot be read | {limits.malformed - 1} |" in text


def test_a_name_in_code_type_that_looks_like_a_name_of_the_protocol_is_one() -> None:
    known = {kind.req for kind in REQUESTS.values()} | {reason.value for reason in Reason} | set(extensions.SUPPORTED)
    known |= {outcome.value for outcome in Outcome}.union(*(kind.__struct_fields__ for kind in SHARED))
    known |= {kind.reason for kind in outcomes.AskError.__subclasses__()}
    for kind in REQUESTS.values():
        known |= field_names(kind) | field_names(kind.answer)
    for name in re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", PAGE):
        assert name in known, name


def test_the_links_within_the_page_lead_somewhere() -> None:
    titles = {title.lower().replace(" ", "-") for title in re.findall(r"^##+ (.*)$", PAGE, re.MULTILINE)}
    links = re.findall(r"\]\(#([^)]*)\)", PAGE)
    assert links
    assert set(links) <= titles


# -- the checks themselves -----------------------------------------------------------------------


def test_an_example_with_a_field_that_the_struct_lacks_would_fail() -> None:
    class Inner(Struct):
        a: int
        b: int = 0

    understood = msgspec.to_builtins(msgspec.convert({"a": 1, "c": 2}, Inner))
    assert says_no_more({"a": 1}, understood)
    assert not says_no_more({"a": 1, "c": 2}, understood)
    assert not says_no_more([{"a": 1}, {"a": 1, "c": 2}], [understood, understood])
    assert not says_no_more({"a": 1.0}, understood)
