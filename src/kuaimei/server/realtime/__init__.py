"""The OpenAI Realtime protocol over WebSocket, with ``kuaimei.*`` events for what it has no word for."""
