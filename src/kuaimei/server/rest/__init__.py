"""HTTP endpoints: the OpenAI-compatible API and the server's own."""
