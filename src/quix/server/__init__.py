"""The control server: who connects (gate), who is here (fleet), and one module a capability."""
