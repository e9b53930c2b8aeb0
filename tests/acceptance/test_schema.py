"""REST does what its description says, whatever it is sent: Schemathesis looks for an answer that says otherwise.

It starts from the description alone, sends what it allows and what it does not, and follows what one answer gives into
the next request. QUIX_SCHEMATHESIS_EXAMPLES has it look longer, with that many random requests for each operation.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.house import WITHOUT_NET_ADMIN, House, Server
from harness.server import PASSWORD

HERE = Path(__file__).parent
EXAMPLES = int(os.environ.get("QUIX_SCHEMATHESIS_EXAMPLES", "40"))
POLICY = 'commands = ["true", "echo", "cat"]\n'


@pytest.fixture
def server(house: House) -> Server:
    """A server with a VPN, and an agent whose owner allows three programs that do no harm, however they are called."""
    server = house.server(vpn__wireguard__enabled="true", vpn__wireguard__endpoint="vpn.example:51820")
    policy = house.root / "policy.toml"
    policy.write_text(POLICY)
    policy.chmod(0o644)
    house.agent(server.url, f"--policy={policy}", name="web-1", before=WITHOUT_NET_ADMIN).wait_for("enrolled")
    return server


@pytest.fixture
def known(server: Server) -> dict[str, str]:
    """What there is to ask about, for the environment of Schemathesis."""
    rest = server.rest()
    rest.post("/users", name="checker", role="admin", password=PASSWORD)
    for number in range(1, 9):
        rest.post("/backends", name=f"phone-{number}")
    rest.post("/backends/web-1/vpn", conf_type="wireguard")
    ended = rest.post("/backends/web-1/processes", cmd=["echo", "hello"])
    living = rest.post("/backends/web-1/processes", cmd=["cat"], stdin="pipe")
    return {
        "QUIX_BACKEND": rest.get("/backends/web-1")["id"],
        "QUIX_ENDED_RUN": ended["run_id"],
        "QUIX_LIVING_RUN": living["run_id"],
        "QUIX_CHECKED_URL": server.http,
        "QUIX_CHECKED_PASSWORD": PASSWORD,
    }


@pytest.mark.long
@pytest.mark.timeout(180 + 30 * EXAMPLES)
def test_no_answer_is_other_than_described(server: Server, known: dict[str, str], house: House) -> None:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            f"--config-file={HERE / 'schemathesis.toml'}",
            "run",
            f"{server.http}/api/v1/openapi.json",
            "--no-color",
            f"--max-examples={EXAMPLES}",
        ],
        capture_output=True,
        text=True,
        cwd=house.root,
        env={**os.environ, **known, "PYTHONPATH": str(HERE.parent)},
    )
    # Some of what is sent is long.
    assert done.returncode == 0, "\n".join(line[:300] for line in (done.stdout + done.stderr).splitlines())
    assert "request failed" not in server.text
