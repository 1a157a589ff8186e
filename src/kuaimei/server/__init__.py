"""The outside of the house: HTTP, the realtime protocol, security and metrics."""
