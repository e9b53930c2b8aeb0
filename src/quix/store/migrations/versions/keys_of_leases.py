"""A WireGuard key belongs to one lease, and leases have pre-shared keys, sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("leases", sa.Column("preshared_key", sa.LargeBinary))
    op.create_index(op.f("ix_leases_public_key"), "leases", ["public_key"], unique=True)
