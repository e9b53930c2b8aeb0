"""Gives a phone or a laptop without an agent a WireGuard configuration, in a file for `wg-quick`.

QUIX_URL=http://127.0.0.1:8480 QUIX_TOKEN=... python examples/vpn_configuration.py phone phone.conf
"""

import os
import sys

from quix import Client
from quix.client import ApiError, QuixError


def main(name: str, path: str) -> None:
    # The file holds a private key: only its owner may read it, from its first byte on.
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        with Client(os.environ["QUIX_URL"], os.environ["QUIX_TOKEN"]) as quix:
            try:
                quix.add_backend(name)
            except ApiError as error:
                if error.reason != "already_exists":
                    raise
            file.write(quix.vpn_configuration(name).conf_data)
            address = quix.lease(name).address4
    print(f"{path}: {name} is {address}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (QuixError, OSError) as error:
        sys.exit(f"{error}")
