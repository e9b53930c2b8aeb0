"""Quix: a control plane for machines that nobody can reach from outside."""

__version__ = "0.1.0"
