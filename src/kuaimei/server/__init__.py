"""The server: the page, REST, the Realtime protocol over WebSocket and WebRTC, and metrics."""
