"""Writes how a backend was in the last hour as CSV: a row for each moment, a column for each metric.

QUIX_URL=http://127.0.0.1:8480 QUIX_TOKEN=... python examples/history_to_csv.py web-1 > web-1.csv
"""

import csv
import os
import sys
import time

from quix import Client
from quix.client import QuixError

METRICS = ["cpu", "memory_used", "disk_fullest"]


def main(backend: str) -> None:
    now = time.time()
    with Client(os.environ["QUIX_URL"], os.environ["QUIX_TOKEN"]) as quix:
        history = quix.telemetry_history(backend, now - 3600, now, points=360, metrics=METRICS)
    rows: dict[float, dict[str, float]] = {}
    for metric, points in history.series.items():
        for at, _lowest, mean, _highest in points:
            rows.setdefault(at, {})[metric] = mean
    table = csv.DictWriter(sys.stdout, ["time", *METRICS])
    table.writeheader()
    for at in sorted(rows):
        table.writerow({"time": at, **rows[at]})


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except QuixError as error:
        sys.exit(f"{error}")
