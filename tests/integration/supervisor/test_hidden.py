"""Where /proc hides the processes of others (proc(5), hidepid), ours are still there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from quix.supervisor.account import DEFAULT_ID

HIDE = 'mount -t proc -o hidepid="$1" proc /proc && shift && exec setpriv --reuid=$1 --regid=$1 --clear-groups "${@:2}"'
LOOK = """
import os
from quix.supervisor import proc, tree
from quix.supervisor.run import Run
table = proc.table()
own = table[os.getpid()]
run = Run(id="r", cmd=["x"], pid=own.pid, start=own.start, boot_id=proc.boot_id(), started_at=0, mark=2**31)
print(1 in table, proc.groups(1), [entry.pid for entry in tree.members(run, table)] == [own.pid])
"""


@pytest.mark.parametrize("how", ["1", "2"])
@pytest.mark.root
def test_what_is_hidden_is_not_there(how: str) -> None:
    argv = ["unshare", "--mount", "bash", "-c", HIDE, "bash", how, str(DEFAULT_ID), sys.executable, "-c", LOOK]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False frozenset() True\n", "")
