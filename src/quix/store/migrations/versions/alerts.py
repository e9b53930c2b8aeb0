"""Alerts: channels, rules, silences, what was raised, and the messages that wait to be sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_ID = sa.String(22)


def upgrade() -> None:
    _channels()
    _rules()
    _alerts()
    _silences()
    _messages()


def _channels() -> None:
    op.create_table(
        "alert_channels",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("url", sa.Text),
        sa.Column("to", sa.Text, nullable=False, server_default="[]"),
        sa.Column("secret", sa.LargeBinary),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_sent_at", sa.Double),
        sa.Column("last_error", sa.Text),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_channels")),
        sa.UniqueConstraint("name", name=op.f("uq_alert_channels_name")),
    )


def _rules() -> None:
    op.create_table(
        "alert_rules",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("metric", sa.String(32), nullable=False),
        sa.Column("op", sa.String(16), nullable=False),
        sa.Column("threshold", sa.Double),
        sa.Column("clear", sa.Double),
        sa.Column("for", sa.Double, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("channels", sa.Text, nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_rules")),
        sa.UniqueConstraint("name", name=op.f("uq_alert_rules_name")),
    )


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("rule_id", _ID, nullable=False),
        sa.Column("rule_name", sa.String(64), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("backend_id", _ID, nullable=False),
        sa.Column("backend_name", sa.Text, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("silenced", sa.Boolean, nullable=False),
        sa.Column("told", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_ended_at"), "alerts", ["ended_at"])
    op.create_index(op.f("ix_alerts_backend_id_id"), "alerts", ["backend_id", "id"])
    op.create_index(op.f("ix_alerts_rule_id_told"), "alerts", ["rule_id", "told"])


def _silences() -> None:
    op.create_table(
        "alert_silences",
        sa.Column("id", _ID, nullable=False),
        sa.Column("rule_id", _ID),
        sa.Column("backend_id", _ID),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("sight", sa.Text, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_silences")),
    )
    op.create_index(op.f("ix_alert_silences_until"), "alert_silences", ["until"])


def _messages() -> None:
    op.create_table(
        "alert_messages",
        sa.Column("id", _ID, nullable=False),
        sa.Column("channel_id", _ID, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["alert_channels.id"], name=op.f("fk_alert_messages_channel_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_messages")),
    )
    op.create_index(op.f("ix_alert_messages_channel_id_id"), "alert_messages", ["channel_id", "id"])
