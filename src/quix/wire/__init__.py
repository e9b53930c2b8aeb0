"""Quix WSI, the protocol, without I/O: what a control server and an agent share.

Nothing here reads a clock, a socket or a file; time is a parameter. A rule of the
protocol that needs an event loop to be tested lives in the wrong place.
"""
