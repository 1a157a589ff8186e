"""The OpenAI dialect and the server's own API over HTTP."""
