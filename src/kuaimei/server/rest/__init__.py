"""The OpenAI dialect and the house's own API over HTTP."""
