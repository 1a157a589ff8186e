"""``/api/status``: what a client needs to know before it can start a conversation."""

from typing import Any

from fastapi import APIRouter, Request

from kuaimei import __version__
from kuaimei.server import ice_servers
from kuaimei.server.admission import Admission
from kuaimei.server.allowed_voices import UsableVoices, stock_voices
from kuaimei.server.model_names import has_own_model, model_id
from kuaimei.server.realtime.config import INSTRUCTIONS_LIMIT, instructions_capacity
from kuaimei.server.realtime.items import CONVERSATION_LIMIT, TEXT_LIMIT
from kuaimei.server.realtime.loops import FRAME_LIMIT
from kuaimei.server.rest.chat import CHARACTERS_LIMIT
from kuaimei.server.rest.dependencies import Me, RuntimeDep
from kuaimei.server.rest.speech import INPUT_LIMIT
from kuaimei.server.rest.voices import voice_bodies

__all__ = ["router"]

router = APIRouter(prefix="/api")


@router.get("/status")
async def get_status(request: Request, runtime: RuntimeDep, me: Me) -> dict[str, Any]:
    """Return the server's state, transports, voices, models and limits.

    During start-up `kuaimei.server.startup_app` answers instead. ``sessions``, the load, is null unless the
    caller is an operator.
    """
    server = runtime.settings.server
    admission: Admission = request.app.state.admission
    webrtc = {
        "available": server.webrtc,
        "url": "/v1/realtime/calls",
        "ice_servers": ice_servers.client_ice_servers(server.ice_servers, me.person),
    }
    return {
        "object": "kuaimei.status",
        "status": "ready",
        "version": __version__,
        "sessions": _fullness(admission) if me.role == "operator" else None,
        "transports": {"webrtc": webrtc, "websocket": {"available": True, "url": "/v1/realtime"}},
        "voices": voice_bodies(stock_voices(runtime)),
        "voice": UsableVoices(runtime, me.person).default,
        "models": [
            {"role": s.role, "name": model_id(s), "licence": s.licence or None} for s in runtime.loaded
        ],
        "kept": runtime.store is not None,
        "hq": runtime.hq is not None,
        "analysis": runtime.analysis is not None,
        "limits": {
            "event_characters": FRAME_LIMIT,
            "instructions_characters": INSTRUCTIONS_LIMIT,
            "instructions_tokens": instructions_capacity(runtime.settings, embedded=has_own_model(runtime)),
            "message_characters": TEXT_LIMIT,
            "conversation_characters": CONVERSATION_LIMIT,
            "chat_characters": CHARACTERS_LIMIT,
            "speech_characters": INPUT_LIMIT,
            "upload_mb": server.max_body_mb,
            "requests_per_minute": server.requests_per_minute,
            "idle_timeout_s": server.idle_timeout_s,
            "session_s": server.max_session_s,
            "utterance_s": runtime.settings.dialogue.max_utterance_s,
        },
    }


def _fullness(admission: Admission) -> dict[str, int]:
    return {
        "open": admission.count,
        "capacity": admission.capacity,
        "waiting": admission.waiting,
        "max_waiting": admission.limit,
    }
