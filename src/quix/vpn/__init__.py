"""Addresses, keys and configuration texts of the VPN; no sockets, no store."""
