"""Operating system and event loop helpers, independent of the application domain."""
