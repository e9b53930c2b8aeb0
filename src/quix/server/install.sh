#!/bin/sh
# Installs the Quix agent on this machine, enrols it and has it start at boot; run again, it upgrades.
#
# It is read from a pipe, after a line that sets QUIX_SERVER, QUIX_USERNAME and QUIX_PASSWORD, and QUIX_VPN where a tunnel
# is wanted. QUIX_PREFIX puts everything below another folder, and leaves systemd alone.
# Exit statuses are those of sysexits.h, as Quix's own.
set -u

version='@VERSION@'
wheel='@WHEEL@'
digest='@DIGEST@'
pin='@PIN@'
fingerprint='@FINGERPRINT@'

prefix=${QUIX_PREFIX:-}
home=$prefix/opt/quix
settings=$prefix/etc/quix
data=$prefix/var/lib/quix
log=$prefix/var/log/quix-agent.log
pid_file=$data/agent.pid
password_file=$settings/password
identity=$data/agent/token.json

say() {
    printf 'quix: %s\n' "$1" >&2
}

# fail STATUS TEXT
fail() {
    say "$2"
    exit "$1"
}

find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        command -v "$python" >/dev/null 2>&1 || continue
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || continue
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            fail 69 "$python cannot make virtual environments: apt install python3-venv, then paste the line again"
        return
    done
    fail 69 'Python 3.11 or newer is needed: apt install python3 python3-venv, then paste the line again'
}

check() {
    [ "$(uname -s)" = Linux ] || fail 69 'Quix runs on Linux'
    [ "$(id -u)" = 0 ] || fail 77 'this has to run as root: paste the line into a shell of root, or install sudo'
    for value in "${QUIX_SERVER:-}" "${QUIX_USERNAME:-}" "$password"; do
        [ -n "$value" ] || fail 64 'this belongs to the line that "quix enroll-command" prints; paste that line'
    done
    for tool in curl sha256sum; do
        command -v "$tool" >/dev/null 2>&1 || fail 69 "$tool is needed: apt install curl coreutils"
    done
    if [ "${QUIX_VPN:-}" = openvpn ]; then
        command -v openvpn >/dev/null 2>&1 || fail 69 'openvpn is needed: apt install openvpn, then paste the line again'
    fi
    find_python
}

# fetch URL FILE
fetch() {
    if [ -n "$pin" ]; then
        curl -fsS --retry 5 -k --pinnedpubkey "$pin" -o "$2" "$1"
    else
        curl -fsS --retry 5 -o "$2" "$1"
    fi
}

pip() {
    "$home/bin/python" -m pip --quiet --disable-pip-version-check --no-input "$@"
}

install_quix() {
    case $QUIX_SERVER in
    wss://*) source=https${QUIX_SERVER#wss} ;;
    *) source=http${QUIX_SERVER#ws} ;;
    esac
    folder=$(mktemp -d) || fail 73 'no temporary folder could be made'
    trap 'rm -rf "$folder"' EXIT
    fetch "${source%/wsi}/install/$wheel" "$folder/$wheel" || fail 69 "$wheel could not be fetched from the server"
    echo "$digest  $folder/$wheel" | sha256sum -c --status - ||
        fail 65 "$wheel is not what the server announced; was it upgraded just now? paste the line again"
    extras=agent${QUIX_VPN:+,vpn}
    "$python" -m venv "$home" || fail 73 "no virtual environment could be made in $home"
    before=$("$home/bin/quix" version 2>/dev/null | head -n 1)
    pip install "$folder/${wheel}[$extras]" || fail 69 "pip could not install Quix and what it needs; it said why above"
    if [ -n "$before" ]; then
        # pip leaves what has the same version alone, and builds between two versions have that too.
        pip install --no-deps --force-reinstall "$folder/$wheel" || fail 69 'pip could not upgrade Quix'
    fi
    "$home/bin/quix" version >/dev/null || fail 70 "$home/bin/quix does not run"
}

write_settings() {
    mkdir -p "$settings" || fail 73 "$settings could not be made"
    (umask 077 && printf '%s\n' "$password" >"$password_file") || fail 73 "$password_file could not be written"
    {
        echo "server = \"$QUIX_SERVER\""
        echo "username = \"$QUIX_USERNAME\""
        echo "password_file = \"$password_file\""
        if [ -n "$fingerprint" ]; then echo "tls_fingerprint = \"$fingerprint\""; fi
        if [ -n "${QUIX_VPN:-}" ]; then echo "vpn = \"$QUIX_VPN\""; fi
    } >"$settings/agent.toml" || fail 73 "$settings/agent.toml could not be written"
}

# The agent has no rights over the network unless it is to have a tunnel.
allow_vpn() {
    mkdir -p /etc/systemd/system/quix-agent.service.d
    cat >/etc/systemd/system/quix-agent.service.d/vpn.conf <<'END'
[Service]
AmbientCapabilities=CAP_NET_ADMIN
CapabilityBoundingSet=CAP_NET_ADMIN
DeviceAllow=/dev/net/tun rw
END
}

start_service() {
    ln -sf "$home/bin/quix" /usr/local/bin/quix
    "$home/bin/quix" systemd-units --to /etc >/dev/null || fail 73 'the units of systemd could not be written'
    [ -z "${QUIX_VPN:-}" ] || allow_vpn
    systemd-sysusers || fail 70 'systemd-sysusers could not make the users of Quix'
    [ ! -f "$password_file" ] || chown quix-agent "$password_file"
    systemctl daemon-reload
    systemctl --quiet enable quix-supervisor quix-agent || fail 70 'systemd could not have Quix start at boot'
    systemctl restart quix-supervisor quix-agent || fail 70 'systemd could not start Quix: systemctl status quix-agent'
    show_log='journalctl -u quix-agent'
}

start_alone() {
    stop_alone
    mkdir -p "$data" "${log%/*}"
    # A session of its own: the agent outlives this shell's terminal.
    setsid "$home/bin/quix" agent --data-dir="$data" --config="$settings/agent.toml" >>"$log" 2>&1 </dev/null &
    echo $! >"$pid_file"
    show_log="tail $log"
}

# The agent of the last time; its supervisor and the programs go on.
stop_alone() {
    [ -f "$pid_file" ] || return 0
    read -r pid <"$pid_file"
    grep -q quix "/proc/$pid/cmdline" 2>/dev/null || return 0
    kill "$pid"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ -d "/proc/$pid" ] || return 0
        sleep 1
    done
    fail 75 "the agent that runs (process $pid) does not end"
}

is_alive() {
    if [ -n "$alone" ]; then
        read -r pid <"$pid_file"
        [ -d "/proc/$pid" ]
    else
        systemctl --quiet is-active quix-agent || systemctl show -P ActiveState quix-agent | grep -q activating
    fi
}

await_identity() {
    waited=0
    until [ -f "$identity" ]; do
        is_alive || fail 69 "the agent was not enrolled (is the key used up, or over?); its log says more: $show_log"
        [ "$waited" -lt 30 ] || fail 75 "the agent has not enrolled within 30 s, and goes on trying: $show_log"
        sleep 1
        waited=$((waited + 1))
    done
    # It has done its part: from here on the agent has a token.
    rm -f "$password_file"
}

main() {
    # The service's user reads what is written here, whatever root's own habit is.
    umask 022
    # Out of the environment, where what is started here would find it.
    password=${QUIX_PASSWORD:-}
    check
    unset QUIX_PASSWORD
    alone=
    if [ -n "$prefix" ] || [ ! -d /run/systemd/system ]; then alone=yes; fi
    known=
    [ ! -f "$identity" ] || known=yes
    install_quix
    [ -n "$known" ] || write_settings
    if [ -n "$alone" ]; then start_alone; else start_service; fi
    await_identity
    if [ -n "$known" ]; then
        say "Quix $version is installed; this machine stays the backend that it was ($settings/agent.toml)"
    else
        say "Quix $version is installed, and this machine is a backend of $QUIX_SERVER"
    fi
    if [ -n "$alone" ]; then
        say "there is no systemd here: have this start at boot: $home/bin/quix agent --data-dir=$data --config=$settings/agent.toml"
    fi
}

# All of it has been read by now, or nothing is done; and what is started here does not read on in the pipe.
main </dev/null
