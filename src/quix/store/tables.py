"""Every table, for every dialect. A change here needs a migration (migrations/versions); a test compares the two.

Times are seconds since the epoch. Structured facts are JSON in a text column, read with msgspec.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from quix.store.ids import ID_LENGTH

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

users: Final = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("labels", Text, nullable=False, server_default="{}"),
)

# `enrolled_by` refers to no row: the user may be removed, and it stays true who enrolled the backend.
backends: Final = Table(
    "backends",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("enrolled_by", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("address", Text, nullable=False),
    Column("facts", Text),
    Column("given_name", Text),
    Column("given_labels", Text, nullable=False, server_default="{}"),
    Column("revoked_at", Double),
)

# What a backend's labels are in effect: what its facts say, and above that what it was given. Kept apart so that the
# database can look for them.
labels: Final = Table(
    "labels",
    metadata,
    Column("backend_id", ForeignKey("backends.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("value", String(253), nullable=False),
    Index(None, "name", "value", "backend_id"),
)

# `subject` is the id of a backend or the name of a user, so it cannot be a foreign key: what removes either
# removes its tokens in the same transaction. `lineage` is the digest of the first token that this one renews. What
# comes after `expires_at` is for logins and personal tokens alone.
tokens: Final = Table(
    "tokens",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("lineage", LargeBinary(32), nullable=False, index=True),
    Column("pending", Boolean, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("id", String(ID_LENGTH), unique=True),
    Column("name", String(64)),
    Column("role", String(16)),
    Column("sight", Text),
    Column("created_at", Double),
    Column("used_at", Double),
    Column("address", Text),
    Column("user_agent", Text),
    Index(None, "kind", "subject"),
)

# `created_by` refers to no row, as `enrolled_by` of a backend. Backends that came with a key have its name there.
enrolments: Final = Table(
    "enrolments",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("uses", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    Column("labels", Text, nullable=False),
    UniqueConstraint("name"),
)

# `request_key` is what whoever asked named the request by, so that asking twice starts one run. Environment variables
# are not kept: they may hold secrets.
runs: Final = Table(
    "runs",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("backend_id", ForeignKey("backends.id", ondelete="CASCADE"), nullable=False),
    Column("cmd", Text, nullable=False),
    Column("proc_id", BigInteger, nullable=False),
    Column("started_by", String(64), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("options", Text, nullable=False, server_default="{}"),
    Column("state", String(16), nullable=False, server_default="untracked", index=True),
    Column("request_key", String(64)),
    Column("ended_at", Double),
    Column("outcome", String(64)),
    Column("exit_code", BigInteger),
    Column("exit_signal", String(16)),
    Column("restarts", BigInteger, nullable=False, server_default="0"),
    Column("stdout", BigInteger, nullable=False, server_default="0"),
    Column("stderr", BigInteger, nullable=False, server_default="0"),
    Column("detail", Text, nullable=False, server_default=""),
    Index(None, "backend_id", "id"),
    Index("ix_runs_started_by_request_key", "started_by", "request_key", unique=True),
)

# A lease whose backend was removed stays, with no backend and a `released_at`, until its addresses may be given
# away again. The constraints are what keeps an address from being leased twice, whatever the code believes.
# `address4` is a number so that the next free one can be asked for. A WireGuard interface knows peers by their public
# keys alone, so with another backend's key one would take its place. `preshared_key` is sealed (quix.vpn.seal).
leases: Final = Table(
    "leases",
    metadata,
    Column("address4", BigInteger, primary_key=True, autoincrement=False),
    Column("address6", String(39), nullable=False),
    Column("backend_id", ForeignKey("backends.id")),
    Column("conf_type", String(16), nullable=False),
    Column("public_key", String(64), unique=True, index=True),
    Column("preshared_key", LargeBinary),
    Column("issued_at", Double, nullable=False),
    Column("revoked_at", Double),
    Column("released_at", Double, index=True),
    UniqueConstraint("address6"),
    UniqueConstraint("backend_id", "conf_type"),
)

# A row is what one backend pushed in a minute or so (`quix.store.blocks.pack`); `start` is when its first sample was
# taken. Rows are only ever added and deleted.
samples: Final = Table(
    "samples",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("backend_id", ForeignKey("backends.id", ondelete="CASCADE"), nullable=False),
    Column("start", Double, nullable=False, index=True),
    Column("data", LargeBinary, nullable=False),
    Index(None, "backend_id", "start"),
)

# A row is a span of time from `start` on: a roll-up for each `step` seconds of it.
rollups: Final = Table(
    "rollups",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("backend_id", ForeignKey("backends.id", ondelete="CASCADE"), nullable=False),
    Column("step", Integer, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    UniqueConstraint("backend_id", "step", "start"),
    Index(None, "step", "start"),
)

# The number of the last sample of each backend that is kept, so that one that is sent again is not counted again.
sample_marks: Final = Table(
    "sample_marks",
    metadata,
    Column("backend_id", ForeignKey("backends.id", ondelete="CASCADE"), primary_key=True),
    Column("series", String(32), nullable=False),
    Column("seq", BigInteger, nullable=False),
)

# Rows are added and, by age, deleted; none is ever changed. No foreign keys: what a row is about may be gone.
audit: Final = Table(
    "audit",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False, index=True),
    Column("user", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", String(32), nullable=False),
    Column("backend_id", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Index(None, "user", "id"),
    Index(None, "action", "id"),
    Index(None, "backend_id", "id"),
)

# `secret` is sealed (quix.vpn.seal) with the channel's id as its subject.
alert_channels: Final = Table(
    "alert_channels",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("url", Text),
    Column("to", Text, nullable=False, server_default="[]"),
    Column("secret", LargeBinary),
    Column("created_at", Double, nullable=False),
    Column("last_sent_at", Double),
    Column("last_error", Text),
)

# `channels` are ids; what removes a channel takes it out of the rules in the same transaction. `for` is in seconds.
alert_rules: Final = Table(
    "alert_rules",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("metric", String(32), nullable=False),
    Column("op", String(16), nullable=False),
    Column("threshold", Double),
    Column("clear", Double),
    Column("for", Double, nullable=False),
    Column("labels", Text, nullable=False),
    Column("channels", Text, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
)

# No foreign keys: an alert stays in the history when its rule or its backend is gone, by the names that they had.
# `told` counts the messages about it: 0 none, 1 that it was raised, 2 that it is over, or that nobody is to be told.
alerts: Final = Table(
    "alerts",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("rule_id", String(ID_LENGTH), nullable=False),
    Column("rule_name", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("backend_id", String(ID_LENGTH), nullable=False),
    Column("backend_name", Text, nullable=False),
    Column("value", Double, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double, index=True),
    Column("silenced", Boolean, nullable=False),
    Column("told", Integer, nullable=False),
    Index(None, "backend_id", "id"),
    Index(None, "rule_id", "told"),
)

# `sight` is that of whoever made it: it silences nothing that he does not see.
alert_silences: Final = Table(
    "alert_silences",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("rule_id", String(ID_LENGTH)),
    Column("backend_id", String(ID_LENGTH)),
    Column("labels", Text, nullable=False),
    Column("sight", Text, nullable=False),
    Column("until", Double, nullable=False, index=True),
    Column("comment", Text, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
)

# Messages that wait to be sent, the oldest of a channel first.
alert_messages: Final = Table(
    "alert_messages",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("channel_id", ForeignKey("alert_channels.id", ondelete="CASCADE"), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Index(None, "channel_id", "id"),
)
