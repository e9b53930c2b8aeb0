"""Alerts: rules that are looked at, and messages that are told until they are taken. docs/alerts.md says how."""
