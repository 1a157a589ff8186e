"""The Realtime protocol over WebRTC: the same events on a data channel, audio on tracks."""
