"""The OpenAI Realtime protocol over WebSocket, extended by ``kuaimei.*`` events."""
