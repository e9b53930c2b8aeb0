from __future__ import annotations

from pathlib import Path

import pytest

from quix import config
from quix.agent.settings import AgentSettings
from quix.exits import Exit, QuixError
from quix.server.settings import ServerSettings


def load(
    flags: dict[str, object] | None = None, environ: dict[str, str] | None = None, file: Path | None = None
) -> ServerSettings:
    return config.load(ServerSettings, {"data_dir": Path("/d"), **(flags or {})}, environ or {}, file)


def test_flags_come_before_environment_before_file_before_defaults(tmp_path: Path) -> None:
    file = tmp_path / "quix.toml"
    file.write_text(
        'listen = "f:1"\nhttp = "f:2"\ntoken_validity = 7\n[vpn.wireguard]\nenabled = true\npool4 = "10.9.0.0/24"\n'
    )
    environ = {"QUIX_LISTEN": "e:1", "QUIX_HTTP": "e:2", "QUIX_VPN__WIREGUARD__POOL4": "10.8.0.0/24", "QUIX_OTHER": "x"}
    settings = load({"listen": "flag:1", "http": None}, environ, file)
    assert (settings.listen, settings.http, settings.token_validity) == ("flag:1", "e:2", 7)
    assert settings.vpn.wireguard.enabled
    assert settings.vpn.wireguard.pool4 == "10.8.0.0/24"
    assert settings.ask_timeout == 30.0


@pytest.mark.parametrize(
    ("environ", "field"),
    [
        ({"QUIX_TOKEN_VALIDITY": "soon"}, "token_validity: "),
        ({"QUIX_TOKEN_VALIDITY": "0"}, "token_validity: "),
        ({"QUIX_LISTEN": "nowhere"}, "listen: "),
        ({"QUIX_LOG_FORMAT": "xml"}, "log_format: "),
        ({"QUIX_VPN__WIREGUARD__DEVICE": "magic"}, "vpn.wireguard.device: "),
    ],
)
def test_a_value_that_does_not_fit_names_its_setting(environ: dict[str, str], field: str) -> None:
    with pytest.raises(QuixError, match=f"^{field}") as caught:
        load(environ=environ)
    assert caught.value.code is Exit.CONFIG


def test_a_list_is_one_word_in_a_flag_and_a_variable_and_a_list_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "quix.toml"
    file.write_text('allow = ["telemetry", "list"]')
    given: dict[str, object] = {"server": "ws://localhost/wsi", "data_dir": Path("/d")}

    def allow(flags: dict[str, object], environ: dict[str, str]) -> tuple[str, ...]:
        return config.load(AgentSettings, given | flags, environ, file).allow

    assert allow({}, {}) == ("telemetry", "list")
    assert allow({}, {"QUIX_ALLOW": "vpn"}) == ("vpn",)
    assert allow({"allow": "signal, execute,"}, {"QUIX_ALLOW": "vpn"}) == ("signal", "execute")
    assert allow({"allow": ""}, {}) == ()
    with pytest.raises(QuixError, match=r"^allow\[1\]: .*everything"):
        allow({"allow": "vpn,everything"}, {})


def test_an_unknown_setting_in_the_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "quix.toml"
    file.write_text("[vpn.wireguard]\nendpiont = 'a:1'\n")
    with pytest.raises(QuixError, match="vpn.wireguard: .*endpiont"):
        load(file=file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(QuixError, match="config: .*no.toml: No such file"):
        load(file=tmp_path / "no.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("listen = ")
    with pytest.raises(QuixError, match="config: .*broken.toml: "):
        load(file=broken)
