"""The realtime protocol over WebRTC: the same events on a data channel, sound on tracks."""
