"""The server: web page, REST API, Realtime protocol over WebSocket and WebRTC, and metrics."""
