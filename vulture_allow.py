"""Names that nothing in this tree uses: frameworks call them, the protocol has them, or people look at them."""

# ruff: noqa: B018, F821
revision  # Alembic
down_revision  # Alembic
upgrade  # Alembic
should_exit  # uvicorn
capture_signals  # uvicorn
main_loop  # uvicorn
openapi  # prometheus_client: its module is chosen by this name
isolation_level  # sqlite3
_value_  # enum
_options  # Typer
passwd  # Typer
up  # Typer
down  # Typer
enable  # Typer
disable  # Typer
try_channel  # Typer
EMAIL  # a kind of channel, given by its value
trace  # the signature of __exit__
Owner  # a bound of a type variable, named before it is defined
on_ws_connected  # picows
on_ws_frame  # picows
on_ws_disconnected  # picows
pause_writing  # picows
resume_writing  # picows
arch  # facts, shown by whoever asks REST
agent_version  # facts, shown by whoever asks REST
unmatched  # counted for whoever debugs a peer
POLICY_DENIED  # a reason of the protocol that other agents use
cpu_busiest  # metrics are kept and shown by their names
disk_used
disk_total
net_received
net_sent
__getattr__  # modules that import a client when somebody asks for it
stdout_cut  # a field of the lines of JSON
stderr_cut
