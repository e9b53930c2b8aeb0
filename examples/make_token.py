"""Makes a personal token for a script that may start programs on the machines of one site, and writes it to a file.

QUIX_URL=http://127.0.0.1:8480 QUIX_USERNAME=ada python examples/make_token.py north.token site=north
"""

import getpass
import os
import sys

from quix import Client
from quix.client import QuixError

WEEK = 7 * 86400


def main(path: str, label: str) -> None:
    username = os.environ.get("QUIX_USERNAME") or getpass.getuser()
    password = os.environ.get("QUIX_PASSWORD") or getpass.getpass(f"Password of {username}: ")
    name, _, value = label.partition("=")
    # Only the owner may read the file, from its first byte on.
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        with Client.login(os.environ["QUIX_URL"], username, password) as quix:
            token = quix.add_token(f"site-{value}", "operator", labels={name: value}, validity=WEEK)
            quix.logout()  # a personal token outlives the login that it was made with
        file.write(token.token + "\n")
    print(f"{path}: {token.role} for {token.user}'s backends with {label}; `quix token rm {token.id}` ends it")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (QuixError, OSError) as error:
        sys.exit(f"{error}")
