"""Logs in with a password, and lists the backends.

QUIX_URL=http://127.0.0.1:8480 QUIX_USERNAME=ada python examples/list_backends.py
"""

import getpass
import os
import sys

from quix import Client
from quix.client import QuixError


def main() -> None:
    username = os.environ.get("QUIX_USERNAME") or getpass.getuser()
    password = os.environ.get("QUIX_PASSWORD") or getpass.getpass(f"Password of {username}: ")
    with Client.login(os.environ["QUIX_URL"], username, password) as quix:
        for backend in quix.backends(sort="name"):
            cpu = "" if backend.load is None or backend.load.cpu is None else f"{backend.load.cpu:.0%}"
            print(f"{backend.name:<20} {'online' if backend.connected else 'offline':<8} {cpu:>5}")
        quix.logout()


if __name__ == "__main__":
    try:
        main()
    except QuixError as error:
        sys.exit(f"{error}")
