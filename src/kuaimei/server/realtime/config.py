"""Configuration of a realtime session: validates what a client changes, and describes the result."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kuaimei.dialogue.reply_options import ReplyOptions
from kuaimei.engines.llm.context_window import SPARE_TOKENS, estimate_tokens
from kuaimei.server.realtime.codecs import RATES, AudioFormat
from kuaimei.server.realtime.input_config import InputConfig, Transcription, TurnDetection
from kuaimei.server.realtime.protocol import ProtocolError, describe_validation_error
from kuaimei.settings import DialogueSettings, Settings

__all__ = ["INSTRUCTIONS_LIMIT", "SessionConfig", "instructions_capacity"]

INSTRUCTIONS_LIMIT = 20_000
"""Maximum characters of instructions."""


_METADATA_PAIRS = 16
_Key: TypeAlias = Annotated[str, Field(max_length=64)]
_Value: TypeAlias = Annotated[str, Field(max_length=512)]


def instructions_capacity(settings: Settings, *, embedded: bool) -> int | None:
    """Return how many tokens instructions may have to leave as much for the conversation; None if unknown.

    Args:
        settings: Give the context size of the embedded model.
        embedded: The embedded model replies; the context size of a remote server's model is not known.
    """
    if not embedded:
        return None
    spent = settings.dialogue.max_reply_tokens + SPARE_TOKENS
    return max((settings.engines.llm_context - spent) // 2, 1)


class _Patch(BaseModel):
    # Fields of the protocol that have no function here (tracing, noise_reduction …) are ignored: clients
    # that send them must still be able to connect.
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Format(_Patch):
    type: AudioFormat
    rate: int | None = None


class _Input(_Patch):
    format: _Format | None = None
    turn_detection: TurnDetection | None = None
    transcription: Transcription | None = None


class _Voice(_Patch):
    id: str


class _Output(_Patch):
    format: _Format | None = None
    voice: str | _Voice | None = None
    speed: float | None = Field(default=None, ge=0.5, le=2.0)


class _Audio(_Patch):
    input: _Input | None = None
    output: _Output | None = None


class _Update(_Patch):
    type: Literal["realtime", "transcription"] = "realtime"
    model: str | None = None
    audio: _Audio | None = None
    instructions: str | None = Field(default=None, max_length=INSTRUCTIONS_LIMIT)
    output_modalities: list[Literal["text", "audio"]] | None = Field(default=None, min_length=1, max_length=1)
    tools: list[Any] | None = Field(default=None, max_length=0)


class _Response(_Patch):
    """Fields of ``response.create``."""

    audio: _Audio | None = None
    instructions: str | None = Field(default=None, max_length=INSTRUCTIONS_LIMIT)
    output_modalities: list[Literal["text", "audio"]] | None = Field(default=None, min_length=1, max_length=1)
    conversation: Literal["auto"] | None = None
    input: None = None
    tools: list[Any] | None = Field(default=None, max_length=0)
    metadata: Annotated[dict[_Key, _Value], Field(max_length=_METADATA_PAIRS)] | None = None


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The effective configuration.

    Attributes:
        turn_detection: None: only a commit ends an utterance.
        answers: False: this is a transcription session.
    """

    settings: Settings
    voices: Sequence[str]
    models: Sequence[str]
    """Names under which this server can be requested; the first is its own."""
    recognizer: str
    """Name of the speech recognizer."""
    voice: str
    instructions_tokens: int | None = None
    """Maximum tokens of instructions; None: not limited."""
    model: str = ""
    answers: bool = True
    input_format: AudioFormat = "audio/pcm"
    output_format: AudioFormat = "audio/pcm"
    turn_detection: Literal["server_vad", "semantic_vad"] | None = "server_vad"
    create_response: bool = True
    interrupt_response: bool = True
    transcription: bool = True
    speed: float = 1.0
    instructions: str = ""
    spoken: bool = True
    hearing: InputConfig = field(default_factory=InputConfig)

    def update(self, patch: dict[str, Any]) -> "SessionConfig":
        """Return the configuration after ``session.update``.

        Raises:
            ProtocolError: If a field is invalid; nothing changes then.
        """
        try:
            new = _Update.model_validate(patch)
        except ValidationError as error:
            raise _to_protocol_error(error, patch, "session") from None
        config = self
        if new.model:
            config = replace(config, model=self._known_model(new.model))
        if "type" in new.model_fields_set:
            config = replace(config, answers=new.type == "realtime")
        if "instructions" in new.model_fields_set:
            config = replace(config, instructions=self._fitting(new.instructions or "", "session"))
        if new.output_modalities:
            config = replace(config, spoken=new.output_modalities == ["audio"])
        if new.audio is not None and new.audio.input is not None:
            config = config._with_input(new.audio.input)
        if new.audio is not None and new.audio.output is not None:
            config = config._with_output(new.audio.output)
        return config

    def reply_options(self) -> ReplyOptions:
        """Return the conversation's reply options."""
        return ReplyOptions(
            voice=self.voice,
            speed=self.speed,
            instructions=self.instructions,
            speak=self.spoken,
            reply=self.answers and self.turn_detection is not None and self.create_response,
            interrupt=self.interrupt_response,
        )

    def dialogue(self) -> DialogueSettings:
        """Return the conversation's settings for detecting and transcribing speech."""
        return self.hearing.settings(self.settings.dialogue, semantic=self.turn_detection == "semantic_vad")

    def for_response(self, asked: dict[str, Any]) -> tuple[ReplyOptions, dict[str, str] | None]:
        """Return the reply options of one response, and its metadata.

        Raises:
            ProtocolError: If a field is invalid or not supported.
        """
        try:
            new = _Response.model_validate(asked)
        except ValidationError as error:
            raise _to_protocol_error(error, asked, "response") from None
        config = self
        if new.output_modalities:
            config = replace(config, spoken=new.output_modalities == ["audio"])
        if new.instructions:
            config = replace(config, instructions=self._fitting(new.instructions, "response"))
        if new.audio is not None and new.audio.output is not None:
            output = new.audio.output.model_copy(update={"format": None, "speed": None})
            config = config._with_output(output, "response")
        return replace(config.reply_options(), reply=True), new.metadata

    def describe(self, session: str) -> dict[str, Any]:
        """Return the complete, effective configuration in the protocol's form."""
        dialogue = self.dialogue()
        turn_detection: dict[str, Any] | None = None
        if self.turn_detection is not None:
            turn_detection = {
                "type": self.turn_detection,
                "create_response": self.create_response,
                "interrupt_response": self.interrupt_response,
            }
        if self.turn_detection == "semantic_vad" and turn_detection is not None:
            turn_detection["eagerness"] = self.hearing.eagerness
        elif turn_detection is not None:
            turn_detection |= {
                "threshold": dialogue.speech_threshold,
                "prefix_padding_ms": dialogue.preroll_ms,
                "silence_duration_ms": dialogue.end_silence_ms,
            }
        language = None if dialogue.language == "auto" else dialogue.language
        transcription: dict[str, Any] | None = None
        if self.transcription:
            transcription = {"model": self.recognizer, "language": language}
            if self.hearing.keywords is not None:
                transcription["keywords"] = list(self.hearing.keywords)
        described: dict[str, Any] = {
            "id": session,
            "object": "realtime.session",
            "type": "realtime" if self.answers else "transcription",
            "audio": {
                "input": {
                    "format": _format(self.input_format),
                    "turn_detection": turn_detection,
                    "transcription": transcription,
                }
            },
        }
        if self.answers:
            output = {"format": _format(self.output_format), "voice": self.voice, "speed": self.speed}
            described["audio"]["output"] = output
            described |= {
                "model": self.model or self.models[0],
                "instructions": self.instructions or dialogue.system_prompt,
                "output_modalities": ["audio" if self.spoken else "text"],
                "max_output_tokens": dialogue.max_reply_tokens,
                "tools": [],
                "tool_choice": "none",
            }
        return described

    def _with_input(self, new: _Input) -> "SessionConfig":
        config = self
        if new.format is not None:
            config = replace(config, input_format=_checked(new.format, "session.audio.input.format"))
        if "turn_detection" in new.model_fields_set:
            detection = new.turn_detection
            if detection is None:
                config = replace(config, turn_detection=None)
            else:
                given = (detection.create_response, detection.interrupt_response)
                now = (config.create_response, config.interrupt_response)
                create, interrupt = (n if g is None else g for g, n in zip(given, now, strict=True))
                config = replace(
                    config,
                    turn_detection=detection.type,
                    create_response=create,
                    interrupt_response=interrupt,
                    hearing=config.hearing.with_turn_detection(detection),
                )
        if "transcription" in new.model_fields_set:
            config = replace(config, transcription=new.transcription is not None)
            if new.transcription is not None:
                config = replace(config, hearing=config.hearing.with_transcription(new.transcription))
        return config

    def _with_output(self, new: _Output, where: str = "session") -> "SessionConfig":
        config = self
        if new.format is not None:
            config = replace(config, output_format=_checked(new.format, f"{where}.audio.output.format"))
        if new.speed is not None:
            config = replace(config, speed=new.speed)
        if new.voice is not None:
            voice = new.voice if isinstance(new.voice, str) else new.voice.id
            if voice not in self.voices:
                raise ProtocolError(
                    f"unknown voice {voice[:80]!r}; available: {_some(self.voices)}",
                    code="voice_not_found",
                    param=f"{where}.audio.output.voice",
                )
            config = replace(config, voice=voice)
        return config

    def _fitting(self, instructions: str, where: str) -> str:
        if self.instructions_tokens is None:
            return instructions
        tokens = estimate_tokens(instructions)
        if tokens > self.instructions_tokens:
            raise ProtocolError(
                f"{where}.instructions has about {tokens} tokens, but only {self.instructions_tokens} fit "
                "into the language model alongside the conversation (KUAIMEI_ENGINES__LLM_CONTEXT)",
                code="instructions_too_long",
                param=f"{where}.instructions",
            )
        return instructions

    def _known_model(self, name: str) -> str:
        if name not in self.models:
            raise ProtocolError(
                f"unknown model {name[:80]!r}; available: {_some(self.models)}",
                code="model_not_found",
                param="session.model",
            )
        return name


def _checked(new: _Format, param: str) -> AudioFormat:
    rate = RATES[new.type]
    if new.rate is not None and new.rate != rate:
        raise ProtocolError(
            f"{new.type} is supported at {rate} Hz only, not at {new.rate}",
            code="unsupported_rate",
            param=f"{param}.rate",
        )
    return new.type


def _format(fmt: AudioFormat) -> dict[str, Any]:
    return {"type": fmt, "rate": RATES[fmt]} if fmt == "audio/pcm" else {"type": fmt}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


def _to_protocol_error(error: ValidationError, body: object, where: str) -> ProtocolError:
    param, message = describe_validation_error(error, body, where)
    if param.split(".")[-1] in {"tools", "conversation", "input"}:
        return ProtocolError(f"{param} is not supported", code="unsupported", param=param)
    return ProtocolError(message, param=param)
