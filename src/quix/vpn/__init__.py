"""Addresses, keys and configuration texts of the VPN, and the interfaces and programs of tunnels; no store."""
