"""One call: a peer connection with its tracks and data channel, from the offer to the hang-up."""

import asyncio
import logging
from concurrent.futures import Executor
from typing import Any

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamTrack

from kuaimei.audio.pcm import Pcm
from kuaimei.http.errors import ApiError
from kuaimei.server.realtime.playback import Playback
from kuaimei.server.realtime.send_queue import SendQueue
from kuaimei.server.realtime.transport import AudioSink, CloseReason
from kuaimei.server.webrtc import inbound_audio
from kuaimei.server.webrtc.channel_limits import bound
from kuaimei.server.webrtc.data_channel import DataChannel
from kuaimei.server.webrtc.jitter_buffer import shrink_jitter_buffer
from kuaimei.server.webrtc.outbound_track import ReplyTrack
from kuaimei.server.webrtc.playout import Playout
from kuaimei.server.webrtc.sdp import validate_offer
from kuaimei.system.failures import trace_of

__all__ = ["PeerSession"]

_log = logging.getLogger(__name__)

_CHANNEL = "oai-events"
_GATHER_S = 6.0
_CLOSE_GRACE_S = 2.0
_CLOSE_S = 5.0


class PeerSession:
    """A `kuaimei.server.realtime.transport.Transport` over one WebRTC connection.

    Args:
        ice_servers: STUN and TURN servers that this server uses; may be empty.
        executor: Runs the audio encoder.
        loopback: Clients on this machine may be reached at its loopback address.

    Attributes:
        channel: Carries the events.
    """

    def __init__(
        self, ice_servers: list[dict[str, Any]], executor: Executor, *, loopback: bool = False
    ) -> None:
        self._loopback = loopback
        # Without an explicit list the library would use a third party's server.
        servers = [RTCIceServer(**server) for server in ice_servers]
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._peer.on("datachannel", self._attach)
        self._peer.on("track", self._listen)
        self._peer.on("connectionstatechange", self._changed)
        self._playout: Playout | None = None
        self._conversation: AudioSink | None = None
        self._hearing: list[asyncio.Task[None]] = []
        self.channel = DataChannel()
        self._peer.addTrack(ReplyTrack(self._next, executor))
        (transceiver,) = self._peer.getTransceivers()
        shrink_jitter_buffer(transceiver.receiver)
        spoken = RTCRtpSender.getCapabilities("audio").codecs
        # The track yields Opus packets, whatever codec the client prefers.
        transceiver.setCodecPreferences([c for c in spoken if c.mimeType.lower() == "audio/opus"])

    async def answer(self, offer: str) -> str:
        """Return the SDP answer to ``offer``, with all candidates.

        Raises:
            ApiError: 400 if the offer is not usable, 503 if this machine has no address for it.
        """
        offer = validate_offer(offer, loopback=self._loopback)
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            if self._peer.sctp is not None:
                bound(self._peer.sctp, self.channel.on_closed)
            async with asyncio.timeout(_GATHER_S):
                await self._peer.setLocalDescription(await self._peer.createAnswer())
        except TimeoutError:
            told = "this server's STUN or TURN servers do not respond"
            raise ApiError(told, status=503, code="webrtc_unavailable") from None
        except Exception as error:  # aiortc raises arbitrary exceptions on malformed SDP
            _log.info("an SDP offer could not be used:\n%s", trace_of(error))
            told = "this SDP offer cannot be used: it does not match what this server supports"
            raise ApiError(told, code="invalid_sdp", param="sdp") from None
        answer: str = self._peer.localDescription.sdp
        if "a=candidate:" not in answer:
            told = "this machine has no network address for WebRTC: use the WebSocket"
            raise ApiError(told, status=503, code="webrtc_unavailable")
        return answer

    async def receive(self) -> str | None:
        """Return the text of the next client event."""
        return await self.channel.receive()

    async def send(self, text: str) -> None:
        """Send an event."""
        await self.channel.send(text)

    def playback(self, outbox: SendQueue) -> Playback:
        """Return a playback onto the track."""
        self._playout = Playout(outbox)
        return self._playout

    def attach(self, conversation: AudioSink) -> None:
        """Forward the microphone to ``conversation``; audio that came before was discarded."""
        self._conversation = conversation
        if self._playout is not None:
            self._playout.played = conversation.report_playback

    async def disconnect(self, goodbye: CloseReason) -> None:
        """Tell the client why the call ends: a data channel has no close codes."""
        told = {"code": goodbye.code, "reason": goodbye.reason, "error": goodbye.error or None}
        await self.channel.send_last({"type": "kuaimei.goodbye", **told}, _CLOSE_GRACE_S)

    async def close(self) -> None:
        """Close the connection; idempotent."""
        self.channel.on_closed()
        for task in self._hearing:
            task.cancel()
        await asyncio.gather(*self._hearing, return_exceptions=True)
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._peer.close()
        except Exception as error:
            _log.warning("a call did not close cleanly:\n%s", trace_of(error))

    def _attach(self, channel: RTCDataChannel) -> None:
        if channel.label == _CHANNEL:
            self.channel.attach(channel)

    def _listen(self, track: MediaStreamTrack) -> None:
        self._hearing.append(asyncio.ensure_future(inbound_audio.forward_audio(track, self._hear)))

    def _hear(self, pcm: Pcm) -> None:
        if self._conversation is not None:
            self._conversation.push_audio(pcm)

    def _next(self) -> Pcm | None:
        return self._playout.read_frame() if self._playout is not None else None

    def _changed(self) -> None:
        if self._peer.connectionState in {"failed", "closed"}:
            self.channel.on_closed()
