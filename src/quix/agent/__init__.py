"""The agent: connect, resume, back off, and one module a capability."""
