"""The asynchronous client, which is where both are written: `tools/sync_client.py` makes the other from it."""
