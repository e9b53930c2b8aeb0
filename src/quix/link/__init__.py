"""`quix.wire.peer` on real sockets: listener, dialler, TLS, liveness, back-pressure, back-off."""
