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
)

# `subject` is the id of a backend or the name of a user, so it cannot be a foreign key: what removes either
# removes its tokens in the same transaction. `lineage` is the digest of the first token that this one renews.
tokens: Final = Table(
    "tokens",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("lineage", LargeBinary(32), nullable=False, index=True),
    Column("pending", Boolean, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Index(None, "kind", "subject"),
)

runs: Final = Table(
    "runs",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("backend_id", ForeignKey("backends.id", ondelete="CASCADE"), nullable=False),
    Column("cmd", Text, nullable=False),
    Column("proc_id", BigInteger, nullable=False),
    Column("started_by", String(64), nullable=False),
    Column("started_at", Double, nullable=False),
    Index(None, "backend_id", "id"),
)

# A lease whose backend was removed stays, with no backend and a `released_at`, until its addresses may be given
# away again. The constraints are what keeps an address from being leased twice, whatever the code believes.
# `address4` is a number so that the next free one can be asked for.
leases: Final = Table(
    "leases",
    metadata,
    Column("address4", BigInteger, primary_key=True, autoincrement=False),
    Column("address6", String(39), nullable=False),
    Column("backend_id", ForeignKey("backends.id")),
    Column("conf_type", String(16), nullable=False),
    Column("public_key", String(64)),
    Column("issued_at", Double, nullable=False),
    Column("revoked_at", Double),
    Column("released_at", Double, index=True),
    UniqueConstraint("address6"),
    UniqueConstraint("backend_id", "conf_type"),
)
