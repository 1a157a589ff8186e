"""All settings.

Precedence, from lowest to highest: the defaults below, ``kuaimei.toml`` in the data folder, the file named
by ``--config`` or ``KUAIMEI_CONFIG``, environment variables (``KUAIMEI_LLM=…``, nested ones with a double
underscore: ``KUAIMEI_DIALOGUE__END_SILENCE_MS=900``), command-line arguments. A ``kuaimei.toml`` in the
working directory is not read, because anyone who can write there could control the program.
"""

import ipaddress
import logging
import os
import re
from pathlib import Path
from typing import Final, Literal

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from kuaimei.errors import SettingsError

__all__ = [
    "CONFIG",
    "AnalysisSettings",
    "DialogueSettings",
    "EngineSettings",
    "IceServer",
    "RenderingSettings",
    "ServerSettings",
    "Settings",
    "StoreSettings",
    "VoiceSettings",
    "is_loopback",
    "usable_cores",
]

_log = logging.getLogger(__name__)


def usable_cores() -> int:
    """Return the number of cores this process may run on (affinity respected)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _half_the_cores() -> int:
    return max(1, usable_cores() // 2)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DialogueSettings(_Section):
    """Endpointing, barge-in, time limits and reply generation of a conversation."""

    language: Literal["zh", "en", "auto"] = "auto"
    """Spoken language; auto chooses between zh and en for each utterance."""
    system_prompt: str = (
        "你是快美，一位說臺灣國語的語音助理。用自然口語的繁體中文簡短回答，一到三句，"
        "先說一個很短的開頭。對方說英文就用英文回答。不用條列、標題、表情符號或任何標記。"
    )
    """System prompt of the language model."""
    hotwords: tuple[str, ...] = ()
    """Names and terms that recognition should favour."""
    speech_threshold: float = Field(0.5, gt=0, lt=1)
    """VAD probability from which a frame counts as voiced."""
    min_speech_ms: int = 100
    """Voiced sound shorter than this is discarded as a click; recognition decides whether longer sound is
    speech. A quick 「對」 is voiced for 160 ms."""
    speculate_silence_ms: int = 160
    """Silence after which recognition starts speculatively, assuming that the turn is over."""
    end_silence_ms: int = 700
    """Silence that ends a turn when turn detection is undecided or disabled."""
    end_silence_complete_ms: int = 400
    """Silence that ends a turn when turn detection considers it complete."""
    end_silence_incomplete_ms: int = 1000
    """Silence that ends a turn when turn detection considers it incomplete."""
    unready_silence_ms: int = 1000
    """Silence that ends a turn while no reply is ready to play: ending it earlier gains nothing, and the
    speaker may continue."""
    preroll_ms: int = 320
    """Audio kept from before the first voiced frame."""
    piece_min_ms: int = 3500
    """A pause after at least this much speech ends a segment, which is recognized at once."""
    piece_max_ms: int = 22000
    """A segment without a pause is cut at this length, at its quietest moment."""
    max_utterance_s: float = Field(600.0, gt=0)
    """An utterance of this length ends as a turn; the speech after it belongs to the next turn."""
    caption_interval_ms: int = 200
    """Minimum interval of partial captions."""
    barge_in_ms: int = 120
    """Voiced sound during a reply after which the reply is paused."""
    barge_in_confirm_ms: int = 600
    """Voiced sound after which the pause becomes an interruption, regardless of the words."""
    false_alarm_silence_ms: int = 400
    """Silence after a pause caused by a backchannel or a cough, before the reply continues."""
    first_token_timeout_s: float = 10.0
    """Time limit for the language model's first text; after it an apology is spoken."""
    token_timeout_s: float = 6.0
    """Time limit between two pieces of the language model's text."""
    synthesis_timeout_s: float = 15.0
    """Time limit for the synthesis of a clause."""
    recognition_timeout_s: float = 15.0
    """Time limit for the recognition of a segment of speech."""
    queue_timeout_s: float = 60.0
    """Maximum time that a request waits in an engine's queue; the other time limits exclude it."""
    max_reply_tokens: int = 160
    """Tokens after which a reply is cut off."""
    history_tokens: int = 1400
    """Budget of the history in estimated tokens; the oldest turns are dropped first."""
    speech_lead_ms: int = 12000
    """Maximum audio of the reply that is rendered ahead of playback."""


class EngineSettings(_Section):
    """Resources of the engines on this machine, and options of engines at a URL (OpenAI API)."""

    cores: int = Field(default_factory=usable_cores, ge=1)
    """Cores that the engines on this machine share."""
    llm_parallel: int = Field(2, ge=1)
    """Prompt caches of the embedded language model: the number of conversations that it remembers."""
    llm_context: int = 4096
    """Context tokens of each conversation in the embedded language model."""
    llm_remote_model: str = ""
    """Model to request when the LLM is a URL; empty: the first that the server lists."""
    asr_remote_model: str = ""
    """Model to request when speech recognition is a URL; empty: the first that the server lists."""
    tts_remote_model: str = ""
    """Model to request when the synthesizer is a URL; empty: the first that the server lists."""
    tts_remote_voices: tuple[str, ...] = ("alloy",)
    """Voices of a synthesizer at a URL; the first is the default."""
    tts_remote_rate: int = 24000
    """Sample rate in Hz of the audio that a synthesizer at a URL sends."""
    remote_key: SecretStr = SecretStr("")
    """API key sent to engines at a URL."""
    tts_runtime: Literal["auto", "onnxruntime", "openvino"] = "auto"
    """Runtime of Kokoro; auto: the faster one, as measured on this machine by `kuaimei setup`."""
    remote_concurrency: int = Field(8, ge=1)
    """Concurrent requests to an engine at a URL; further ones wait."""


class StoreSettings(_Section):
    """Storage of conversations and recordings; empty locations are in the data folder."""

    database_url: str = ""
    """PostgreSQL URL; empty starts the embedded database."""
    database_dir: Path = Path("/var/lib/kuaimei")
    """Folder of the embedded database's files if kuaimei runs as root, because the database itself does not;
    under any other account they are in the data folder."""
    blob_url: str = ""
    """Folder or S3 URL (``s3://bucket/prefix``) of recordings."""
    keep: bool = True
    """False: conversations are not stored."""
    timeout_s: float = Field(30.0, ge=0)
    """Seconds after which a database statement fails; 0: never. Unsaved utterances wait on disk."""
    retention_days: float = Field(0.0, ge=0)
    """Conversations without activity for this many days are deleted; 0: kept until they are deleted
    manually."""
    disk_low_mb: int = Field(2048, ge=0)
    """Free disk space below which a warning is logged."""
    disk_full_mb: int = Field(512, ge=0)
    """Free disk space below which only text is stored and no audio is recorded."""


class RenderingSettings(_Section):
    """High-quality (HQ) rendering of replies, and the memory of models that are loaded on demand."""

    hq: str = ""
    """Engine of the HQ rendering: a name in the catalogue, a path or a base URL, as for ``tts``; empty: the
    same as ``tts``; ``none``: replies are rendered only once, fast."""
    hq_voice: str = ""
    """Voice of the HQ engine for replies in a voice that it does not have; empty: these have no HQ
    rendering."""
    memory_mb: int = Field(2048, ge=1)
    """Memory for models that are loaded on demand; the least recently used ones are unloaded first."""
    idle_s: float = Field(300.0, ge=0)
    """A model loaded on demand is unloaded after this many seconds without use."""


class VoiceSettings(_Section):
    """Enrolment and training of cloned voices."""

    learn: Literal["decoder", "style", "none"] = "decoder"
    """Training of a new voice: ``style`` takes minutes and applies to both tiers, ``decoder`` takes a
    quarter of an hour more and applies to the HQ rendering; ``none``: voices are not trained
    automatically."""
    environment: Literal["auto", "cpu", "cuda", "off"] = "auto"
    """Training environment (torch) in the data folder, installed automatically: for an NVIDIA graphics card
    if there is one (``cpu`` and ``cuda`` force the choice); ``off``: none is installed, voices are not
    trained."""
    python: str = ""
    """Interpreter of another training environment; empty: the one that is installed automatically."""
    threads: int = Field(default_factory=_half_the_cores, ge=1)
    """Cores that training may use while no conversation is active."""
    style_s: float = Field(330.0, gt=0)
    """Seconds of computing for the style."""
    decoder_s: float = Field(840.0, gt=0)
    """Seconds of computing for the decoder."""
    cloned_similarity: float = Field(0.7, gt=0, lt=1)
    """Measured similarity from which a voice is labelled cloned instead of similar."""
    retention_days: float = Field(0.0, ge=0)
    """Voices older than this many days are deleted with everything derived from them; 0: kept until they are
    deleted manually."""
    max_voices: int = Field(200, ge=1)
    """Maximum number of cloned voices."""
    max_upload_mb: int = Field(128, ge=1)
    """Maximum size of an uploaded recording; ten minutes of uncompressed stereo have 115 MB."""


class AnalysisSettings(_Section):
    """Analysis of how users speak (prosody)."""

    enabled: bool = True
    """False: recordings are stored but not analysed."""
    meter: Literal["own", "librosa", "praat", "opensmile"] = "own"
    """Extractor of pitch and voice quality. All but ``own`` are optional extras; Praat is under the GPL-3,
    openSMILE under a licence for research only."""


_ICE_URL = re.compile(r"stuns?:[^?:\s]+(:\d+)?|turns?:[^?:\s]+(:\d+)?(\?transport=(udp|tcp))?")


class IceServer(_Section):
    """STUN or TURN server, with which WebRTC connects through NATs and firewalls."""

    urls: tuple[str, ...] = Field(min_length=1)
    """``stun:host:port``, ``turn:host:port?transport=udp`` …"""
    username: str = ""
    """User name at a TURN server with fixed credentials."""
    credential: SecretStr = SecretStr("")
    """Password at a TURN server with fixed credentials."""
    secret: SecretStr = SecretStr("")
    """Secret shared with the TURN server (coturn: ``static-auth-secret``): clients get credentials that
    expire."""

    @field_validator("urls")
    @classmethod
    def _known_scheme(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not _ICE_URL.fullmatch(url):
                raise ValueError(
                    f"{url!r} is not an address like stun:host:port or turn:host:port?transport=udp"
                )
        return urls


_LOOPBACK_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})
_KEY_LENGTH: Final = 16
"""Minimum length of an API key."""
_KEY_VARIETY: Final = 8
"""Minimum number of different characters: a repeated letter is not a key."""
_KEY: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A token of RFC 9110: valid in a header and as a WebSocket subprotocol."""
_HEADER: Final = re.compile(r"[A-Za-z0-9-]+")
_HOST: Final = re.compile(r"(https?://)?(\[[0-9A-Fa-f:.]+\]|[^\s/:@?#\[\]]+)(:\d{1,5})?")


def is_loopback(host: str) -> bool:
    """Return True if ``host`` (name or address) can be reached only from this machine."""
    name = host.lower().strip("[]")
    if name in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


class ServerSettings(_Section):
    """Network address of the server, authentication and limits.

    Every client needs a key: the one set here, the machine's own (`kuaimei key` prints it), or a person's
    (`kuaimei people add NAME`).
    """

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 selects a free one."""
    api_key: SecretStr = SecretStr("")
    """API key with the operator's rights; empty: only the machine's own key has them, which is generated at
    the first start. 16 characters or more, 8 of them different: letters, digits, ``!#$%&'*+-.^_`|~``."""
    open: bool = False
    """True: no key is needed. Only on loopback, where every account of this machine can then read
    everything; requests through a proxy are refused."""
    identity_header: str = ""
    """Name of the header in which your own sign-in proxy passes the user's name, such as
    ``X-Forwarded-User``; empty: none. The proxy must remove this header from its clients' requests."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (``10.0.0.7``, ``10.0.0.0/24``) from which ``identity_header`` is accepted."""
    start_timeout_s: float = Field(300.0, gt=0)
    """Time limit of the start, after which it fails with an error that names the missing part; a slow disk
    may need more."""
    max_sessions: int = Field(8, ge=1)
    """Maximum number of concurrent conversations."""
    max_waiting: int = Field(16, ge=0)
    """Maximum number of sessions beyond ``max_sessions`` that wait in a queue; further ones are refused."""
    max_connections: int = Field(1000, ge=16)
    """Maximum number of connections, including unauthenticated ones; 256 file descriptors are kept for other
    purposes. At the limit, the connection that has been idle longest without a request is closed."""
    max_connections_per_address: int = Field(200, ge=1)
    """Maximum number of connections from one address; this machine's own, where a proxy may run, are not
    counted."""
    requests_per_minute: int = Field(120, ge=1)
    """Responses and typed messages that one session may request per minute; speech is not counted."""
    max_body_mb: int = 25
    """Maximum size of a recording uploaded for transcription; other requests have their own limits."""
    idle_timeout_s: float = Field(600.0, gt=0)
    """A session without activity for this many seconds is closed."""
    max_session_s: float = Field(4 * 3600.0, gt=0)
    """A connection is closed after this many seconds, with a warning one minute before; its session can be
    resumed."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names of the server, in addition to ``host`` and plain addresses. With a scheme
    (``https://talk.example:8443``), pages of exactly that origin may also use the server under its other
    names."""
    webrtc: bool = True
    """False: realtime sessions over WebSocket only."""
    https: bool = False
    """Serve HTTPS with a certificate of the server's own authority, stored in the folder ``https`` of the
    data folder: browsers allow the microphone on other machines only over HTTPS."""
    certificate_port: int = Field(-1, ge=-1, le=65535)
    """With ``https``: port of the plain HTTP page from which devices get the certificate; -1: the one after
    ``port``; 0: no such page."""
    ice_servers: tuple[IceServer, ...] = ()
    """STUN and TURN servers; empty: WebRTC uses only this machine's own addresses."""

    @field_validator("api_key")
    @classmethod
    def _strong_key(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        if not text:
            return key
        made = "generate one with: openssl rand -hex 24"
        if not _KEY.fullmatch(text):
            raise ValueError(
                f"an API key may contain only letters, digits and !#$%&'*+-.^_`|~, no spaces: {made}"
            )
        if len(text) < _KEY_LENGTH or len(set(text)) < _KEY_VARIETY:
            raise ValueError(
                f"an API key must have at least {_KEY_LENGTH} characters, {_KEY_VARIETY} of them different: "
                f"{made}"
            )
        return key

    @field_validator("identity_header")
    @classmethod
    def _header_name(cls, name: str) -> str:
        if name and not _HEADER.fullmatch(name):
            raise ValueError(f"{name!r} is not a header name such as X-Forwarded-User")
        if name.lower() in {"authorization", "host", "origin", "cookie"}:
            raise ValueError(f"{name} has another meaning: choose a header of the proxy's own")
        return name

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"{network!r} is not an address or network such as 10.0.0.0/24") from None
        return networks

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(
                    f"{host!r} is not a host name such as talk.example or https://talk.example:8443"
                )
        return hosts

    @model_validator(mode="after")
    def _closed_to_others(self) -> "ServerSettings":
        if bool(self.identity_header) != bool(self.trusted_proxies):
            raise ValueError(
                "identity_header and trusted_proxies must be set together: the user's name is accepted only "
                "from a listed proxy"
            )
        if not self.open:
            return self
        instead = "unset KUAIMEI_SERVER__OPEN and use the machine's own key or KUAIMEI_SERVER__API_KEY"
        if not is_loopback(self.host):
            raise ValueError(f"listening on {self.host} needs a key: {instead}")
        if others := [host for host in self.allowed_hosts if not is_loopback(_named(host))]:
            raise ValueError(f"serving {others[0]} needs a key: {instead}")
        if self.api_key.get_secret_value():
            raise ValueError("KUAIMEI_SERVER__API_KEY and KUAIMEI_SERVER__OPEN are mutually exclusive")
        if self.identity_header:
            raise ValueError("identity_header and KUAIMEI_SERVER__OPEN are mutually exclusive")
        return self


def _named(host: str) -> str:
    """Return the host name in an entry of ``allowed_hosts``."""
    found = _HOST.fullmatch(host)
    return found[2] if found else host


_FILE = Path("kuaimei.toml")


CONFIG: Final = "KUAIMEI_CONFIG"
"""Environment variable that names a settings file, as ``--config`` does."""
_ignored: set[Path] = set()
"""Files already reported as ignored: settings are read more than once."""


def _data_folder() -> Path:
    return user_data_path("kuaimei", appauthor=False)


def _named_file(settings_cls: type[BaseSettings]) -> TomlConfigSettingsSource | None:
    """Return the source of the file named by ``KUAIMEI_CONFIG``, or None.

    Raises:
        SettingsError: If there is no such file.
    """
    if not (given := os.environ.get(CONFIG, "")):
        return None
    path = Path(given).expanduser()
    if not path.is_file():
        raise SettingsError(f"the settings file {path} does not exist: see --config and {CONFIG}")
    return TomlConfigSettingsSource(settings_cls, path)


def _tell_of_ignored(kept: Path) -> None:
    """Warn once about a file in the working directory, which earlier versions read and this one ignores."""
    try:
        here = Path.cwd() / _FILE
    except FileNotFoundError:  # the working directory was deleted
        return
    if here in _ignored or not here.is_file() or (kept.exists() and here.samefile(kept)):
        return
    if (named := os.environ.get(CONFIG)) and here.samefile(Path(named).expanduser()):
        return
    _ignored.add(here)
    _log.warning("%s is ignored: move it to the data folder (%s), or pass it with --config", here, kept)


class Settings(BaseSettings):
    """The whole configuration.

    Attributes:
        home: Folder that holds weights, database and recordings.
        llm: Engine of each role: catalogue name, path, or ``http(s)://…/v1`` URL.
    """

    model_config = SettingsConfigDict(
        env_prefix="KUAIMEI_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(default_factory=_data_folder)
    """Folder that holds weights, database and recordings."""
    llm: str = "qwen2.5-coder-1.5b"
    """Language model: a name from ``kuaimei models list``, a path, or the base URL of a server."""
    asr: str = "whisper-small"
    """Speech recognition: a name, a path or a URL."""
    captions: str = "vosk-small"
    """Live captions during speech: a name or a path; ``none``: no captions."""
    tts: str = "kokoro"
    """Speech synthesis: a name, a path or a URL."""
    vad: str = "silero"
    """Voice activity detection: ``silero``, ``webrtc`` or a path."""
    turn: str = "smart-turn"
    """Turn detection, which distinguishes a pause from the end of a turn: a name or a path; ``none``: only
    the length of the silence decides."""
    voice: str = ""
    """Default voice; empty: the synthesizer's first."""
    models_sources: str = ""
    """Sources of weights, in order (``file,hf,pypi,npm``); empty: the catalogue's own order."""

    dialogue: DialogueSettings = DialogueSettings()
    engines: EngineSettings = EngineSettings()
    store: StoreSettings = StoreSettings()
    rendering: RenderingSettings = RenderingSettings()
    voices: VoiceSettings = VoiceSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    server: ServerSettings = ServerSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources: arguments, environment, the named file, the one in the data folder."""
        named = _named_file(settings_cls)
        home = (
            init_settings().get("home")
            or os.environ.get("KUAIMEI_HOME")
            or (named().get("home") if named else None)
            or _data_folder()
        )
        kept = Path(home) / _FILE
        _tell_of_ignored(kept)
        sources = (init_settings, env_settings, named, TomlConfigSettingsSource(settings_cls, kept))
        return tuple(source for source in sources if source is not None)

    @property
    def weights_dir(self) -> Path:
        """Folder of the weights: the one that an air-gapped site copies."""
        return self.home / "models"
