"""Every setting, in one place.

From lowest to highest precedence: the defaults below, ``kuaimei.toml`` in the data folder, the file that
``--config`` or ``KUAIMEI_CONFIG`` names, environment variables (``KUAIMEI_LLM=…``, nested ones with a double
underscore: ``KUAIMEI_DIALOGUE__END_SILENCE_MS=900``), arguments of the command line. A ``kuaimei.toml`` in
the working directory is not read: whoever can put a file there would decide what the program does.
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
    """Cores this process may run on (affinity respected)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _half_the_cores() -> int:
    return max(1, usable_cores() // 2)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DialogueSettings(_Section):
    """How a conversation listens, thinks and speaks."""

    language: Literal["zh", "en", "auto"] = "auto"
    """Spoken language; auto chooses between zh and en for each utterance."""
    system_prompt: str = (
        "你是快美，一位說臺灣國語的語音助理。用自然口語的繁體中文簡短回答，一到三句，"
        "先說一個很短的開頭。對方說英文就用英文回答。不用條列、標題、表情符號或任何標記。"
    )
    """What the language model is told before everything else."""
    hotwords: tuple[str, ...] = ()
    """Names and terms that recognition should favour."""
    speech_threshold: float = Field(0.5, gt=0, lt=1)
    """VAD probability from which a frame counts as voiced."""
    min_speech_ms: int = 100
    """Voiced sound shorter than this is a click; whether longer sound was speech, recognition decides.
    A quick 「對」 is voiced for 160 ms."""
    speculate_silence_ms: int = 160
    """Silence after which recognition starts on the guess that the turn is over."""
    end_silence_ms: int = 700
    """Silence that ends a turn when turn detection is undecided or absent."""
    end_silence_complete_ms: int = 400
    """… when it says that the turn is complete."""
    end_silence_incomplete_ms: int = 1000
    """… when it says that more is to come."""
    unready_silence_ms: int = 1000
    """… while no answer is ready to be heard: sooner would gain nothing, and the speaker may go on."""
    preroll_ms: int = 320
    """Audio kept from before the first voiced frame."""
    piece_min_ms: int = 3500
    """A pause after at least this much speech closes a piece that is recognised at once."""
    piece_max_ms: int = 22000
    """A piece without a pause is cut here, at its quietest moment."""
    max_utterance_s: float = Field(600.0, gt=0)
    """An utterance that lasts so long ends as a turn; what is said after it belongs to the next."""
    caption_interval_ms: int = 200
    """At most this long between partial captions."""
    barge_in_ms: int = 120
    """Voiced sound over the reply after which it is held."""
    barge_in_confirm_ms: int = 600
    """Voiced sound after which holding becomes interrupting, whatever was said."""
    false_alarm_silence_ms: int = 400
    """Silence after a hold that was only a backchannel or a cough, before the reply goes on."""
    first_token_timeout_s: float = 10.0
    """The language model may take so long until its first text; then an apology is spoken."""
    token_timeout_s: float = 6.0
    """… and so long between two pieces of text."""
    synthesis_timeout_s: float = 15.0
    """The synthesiser may take so long for a clause."""
    recognition_timeout_s: float = 15.0
    """Recognition may take so long for a piece of speech."""
    queue_timeout_s: float = 60.0
    """… and a request may wait for its turn where many talk at once; no other patience counts that."""
    max_reply_tokens: int = 160
    """Tokens after which a reply is cut off."""
    history_tokens: int = 1400
    """Budget of the history in estimated tokens; the oldest turns go first."""
    speech_lead_ms: int = 12000
    """The reply is rendered at most this far ahead of the listener."""


class EngineSettings(_Section):
    """Which engine plays which role: a name in the catalogue, a path, or a base URL (OpenAI dialect)."""

    cores: int = Field(default_factory=usable_cores, ge=1)
    """Cores lent to the engines on this machine, one step at a time."""
    llm_parallel: int = Field(2, ge=1)
    """Prompt caches (conversations remembered) in the embedded language model."""
    llm_context: int = 4096
    """Tokens of context for each conversation in the embedded language model."""
    llm_remote_model: str = ""
    """Model name to ask for when the LLM is a URL; empty: the first it lists."""
    asr_remote_model: str = ""
    """… when recognition is a URL."""
    tts_remote_model: str = ""
    """… when the synthesiser is a URL."""
    tts_remote_voices: tuple[str, ...] = ("alloy",)
    """Voices that a synthesiser at a URL has; the first is its default."""
    tts_remote_rate: int = 24000
    """Sample rate in Hz of what it sends."""
    remote_key: SecretStr = SecretStr("")
    """API key shown to engines at a URL."""
    tts_runtime: Literal["auto", "onnxruntime", "openvino"] = "auto"
    """What runs Kokoro; auto: the faster one, as measured on this machine by `kuaimei setup`."""
    remote_concurrency: int = Field(8, ge=1)
    """Requests to an engine at a URL at once; further ones wait."""


class StoreSettings(_Section):
    """Where things are kept; empty means under the data folder."""

    database_url: str = ""
    """PostgreSQL URL; empty starts the embedded one."""
    database_dir: Path = Path("/var/lib/kuaimei")
    """Where root runs kuaimei: folder below which the embedded database, which does not run as root, has its
    files; any other account has them in the data folder."""
    blob_url: str = ""
    """Folder or S3 URL (``s3://bucket/prefix``) of recordings."""
    keep: bool = True
    """False: nothing said is stored."""
    timeout_s: float = Field(30.0, ge=0)
    """Seconds after which a statement of the database has failed; 0: never. What was said waits on disk."""
    retention_days: float = Field(0.0, ge=0)
    """Conversations in which nothing was said for so long are deleted; 0: kept until somebody does."""
    disk_low_mb: int = Field(2048, ge=0)
    """Room on the disk below which a warning is given."""
    disk_full_mb: int = Field(512, ge=0)
    """… and below which words are kept and no sound is recorded."""


class RenderingSettings(_Section):
    """How replies are rendered a second time, beautifully, and how heavy models share the memory."""

    hq: str = ""
    """What renders: a name in the catalogue, a path or a base URL, as for ``tts``; empty: the same as
    ``tts``; ``none``: replies are rendered once, fast."""
    hq_voice: str = ""
    """Voice of what renders for replies in a voice that it does not know; empty: those keep the fast one."""
    memory_mb: int = Field(2048, ge=1)
    """Memory lent to models that are loaded on demand; what was not used for longest goes first."""
    idle_s: float = Field(300.0, ge=0)
    """A model loaded on demand that nobody used for so long is unloaded."""


class VoiceSettings(_Section):
    """How voices are cloned."""

    learn: Literal["decoder", "style", "none"] = "decoder"
    """How far a new voice is learned by itself: ``style`` takes minutes and serves both tiers, ``decoder``
    a quarter of an hour more and serves the beautiful one."""
    environment: Literal["auto", "cpu", "cuda", "off"] = "auto"
    """The environment for learning (torch), made by itself in the data folder: for a graphics card of NVIDIA
    where there is one (``cpu`` and ``cuda`` decide that); ``off``: none is made, voices are not learned."""
    python: str = ""
    """Interpreter of another environment for learning; empty: that of the one that is made by itself."""
    threads: int = Field(default_factory=_half_the_cores, ge=1)
    """Cores that learning may use while nobody is talking."""
    style_s: float = Field(330.0, gt=0)
    """Seconds of computing for the style."""
    decoder_s: float = Field(840.0, gt=0)
    """… and for the decoder."""
    cloned_similarity: float = Field(0.7, gt=0, lt=1)
    """Measured similarity from which a voice is called cloned, not merely similar."""
    retention_days: float = Field(0.0, ge=0)
    """Voices older than this are deleted with everything derived from them; 0: kept until somebody does."""
    max_voices: int = Field(200, ge=1)
    """Cloned voices kept at once."""
    max_upload_mb: int = Field(128, ge=1)
    """Ten minutes of uncompressed stereo have 115 MB."""


class AnalysisSettings(_Section):
    """How what was said is analysed: how it was spoken."""

    enabled: bool = True
    """False: recordings are kept and not analysed."""
    meter: Literal["own", "librosa", "praat", "opensmile"] = "own"
    """What measures pitch and voice quality. All but ``own`` are optional extras; Praat is under the GPL-3,
    openSMILE under a licence for research only."""


_ICE_URL = re.compile(r"stuns?:[^?:\s]+(:\d+)?|turns?:[^?:\s]+(:\d+)?(\?transport=(udp|tcp))?")


class IceServer(_Section):
    """A STUN or TURN server by which WebRTC finds its way through other networks."""

    urls: tuple[str, ...] = Field(min_length=1)
    """``stun:host:port``, ``turn:host:port?transport=udp`` …"""
    username: str = ""
    """Of a TURN server with fixed credentials."""
    credential: SecretStr = SecretStr("")
    """… and its password."""
    secret: SecretStr = SecretStr("")
    """Shared with the TURN server (coturn: ``static-auth-secret``): clients get credentials that expire."""

    @field_validator("urls")
    @classmethod
    def _known_scheme(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not _ICE_URL.fullmatch(url):
                raise ValueError(f"{url!r} is no address like stun:host:port or turn:host:port?transport=udp")
        return urls


_LOOPBACK_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})
_KEY_LENGTH: Final = 16
"""Characters at least."""
_KEY_VARIETY: Final = 8
"""Different characters at least: a key of one letter is none."""
_KEY: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A token of RFC 9110: what fits into a header and is a WebSocket subprotocol, too."""
_HEADER: Final = re.compile(r"[A-Za-z0-9-]+")
_HOST: Final = re.compile(r"(https?://)?(\[[0-9A-Fa-f:.]+\]|[^\s/:@?#\[\]]+)(:\d{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``: a name or an address."""
    name = host.lower().strip("[]")
    if name in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


class ServerSettings(_Section):
    """Where the server listens and whom it lets in.

    Everybody needs a key: the one set here, the machine's own (`kuaimei key` prints it), or a person's
    (`kuaimei people add NAME`).
    """

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    api_key: SecretStr = SecretStr("")
    """A key that lets in whoever shows it, as the operator; empty: the machine's own key does, which is made
    at the first start. 16 characters or more, 8 of them different: letters, digits, ``!#$%&'*+-.^_`|~``."""
    open: bool = False
    """True: no key is needed. On loopback only, where every account of this machine then may read everything;
    requests that come through a proxy are refused."""
    identity_header: str = ""
    """Name of the header in which a proxy of your own sign-in says who somebody is, such as
    ``X-Forwarded-User``; empty: none. The proxy must remove it from what its clients send."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (``10.0.0.7``, ``10.0.0.0/24``) from which ``identity_header`` is believed."""
    start_timeout_s: float = Field(300.0, gt=0)
    """A start that is not over after so long ends with an error that says what it waited for; a slow disk may
    need more."""
    max_sessions: int = Field(8, ge=1)
    """Conversations at once."""
    max_waiting: int = Field(16, ge=0)
    """Sessions beyond ``max_sessions`` that wait in a queue for a place; further ones are turned away."""
    max_connections: int = Field(1000, ge=16)
    """Connections at once, also of those who have not shown a key; 256 file descriptors are kept for other
    things. The one that has waited longest without having asked for anything makes way for the next."""
    max_connections_per_address: int = Field(200, ge=1)
    """… from one address; those of this machine, on which a proxy may run, are not counted."""
    requests_per_minute: int = Field(120, ge=1)
    """Responses and typed messages that one session may ask for; what is spoken is not counted."""
    max_body_mb: int = 25
    """Size of a recording sent to be transcribed; other requests have bounds of their own."""
    idle_timeout_s: float = Field(600.0, gt=0)
    """A session in which nothing was said, asked or answered for so long is closed; its place is free."""
    max_session_s: float = Field(4 * 3600.0, gt=0)
    """A connection that lasts so long is closed, which is told a minute before; its session can go on."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which the server may be asked for, beside ``host`` and plain addresses. With a scheme
    (``https://talk.example:8443``) pages of exactly that origin may ask it under any of its names, too."""
    webrtc: bool = True
    """False: realtime sessions over WebSocket only."""
    https: bool = False
    """Serve HTTPS with a certificate of the server's own authority, kept in the folder ``https`` of the data
    folder: browsers give the microphone to other machines over HTTPS only."""
    certificate_port: int = Field(-1, ge=-1, le=65535)
    """With ``https``: port of the plain page that gives devices the certificate; -1: the one after
    ``port``; 0: no such page."""
    ice_servers: tuple[IceServer, ...] = ()
    """Empty: WebRTC on this machine's own addresses, and nobody is asked for others."""

    @field_validator("api_key")
    @classmethod
    def _strong_key(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        if not text:
            return key
        made = "make one with: openssl rand -hex 24"
        if not _KEY.fullmatch(text):
            raise ValueError(
                f"an API key may hold letters, digits and !#$%&'*+-.^_`|~ only, no spaces: {made}"
            )
        if len(text) < _KEY_LENGTH or len(set(text)) < _KEY_VARIETY:
            raise ValueError(
                f"an API key needs {_KEY_LENGTH} characters or more, {_KEY_VARIETY} of them different: {made}"
            )
        return key

    @field_validator("identity_header")
    @classmethod
    def _header_name(cls, name: str) -> str:
        if name and not _HEADER.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header such as X-Forwarded-User")
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
                raise ValueError(f"{network!r} is no address or network such as 10.0.0.0/24") from None
        return networks

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no name such as talk.example or https://talk.example:8443")
        return hosts

    @model_validator(mode="after")
    def _closed_to_others(self) -> "ServerSettings":
        if bool(self.identity_header) != bool(self.trusted_proxies):
            raise ValueError(
                "identity_header and trusted_proxies belong together: who somebody is, is believed of an "
                "allow-listed proxy only"
            )
        if not self.open:
            return self
        instead = (
            "leave out KUAIMEI_SERVER__OPEN, and the machine's own key or KUAIMEI_SERVER__API_KEY lets in"
        )
        if not is_loopback(self.host):
            raise ValueError(f"listening on {self.host} needs a key: {instead}")
        if others := [host for host in self.allowed_hosts if not is_loopback(_named(host))]:
            raise ValueError(f"answering to {others[0]} needs a key: {instead}")
        if self.api_key.get_secret_value():
            raise ValueError(
                "KUAIMEI_SERVER__API_KEY is set and KUAIMEI_SERVER__OPEN asks for none: choose one"
            )
        if self.identity_header:
            raise ValueError("a sign-in of your own (identity_header) and KUAIMEI_SERVER__OPEN contradict")
        return self


def _named(host: str) -> str:
    """The name in an entry of ``allowed_hosts``."""
    found = _HOST.fullmatch(host)
    return found[2] if found else host


_FILE = Path("kuaimei.toml")


CONFIG: Final = "KUAIMEI_CONFIG"
"""Environment variable that names a file of settings, as ``--config`` does."""
_ignored: set[Path] = set()
"""Files that were told of: settings are read more than once."""


def _data_folder() -> Path:
    return user_data_path("kuaimei", appauthor=False)


def _named_file(settings_cls: type[BaseSettings]) -> TomlConfigSettingsSource | None:
    """The file that ``KUAIMEI_CONFIG`` names.

    Raises:
        SettingsError: If there is no such file.
    """
    if not (given := os.environ.get(CONFIG, "")):
        return None
    path = Path(given).expanduser()
    if not path.is_file():
        raise SettingsError(f"there is no file of settings {path}: see --config and {CONFIG}")
    return TomlConfigSettingsSource(settings_cls, path)


def _tell_of_ignored(kept: Path) -> None:
    """Say once that a file in the working directory is not read: earlier versions did."""
    try:
        here = Path.cwd() / _FILE
    except FileNotFoundError:  # the working directory was deleted
        return
    if here in _ignored or not here.is_file() or (kept.exists() and here.samefile(kept)):
        return
    if (named := os.environ.get(CONFIG)) and here.samefile(Path(named).expanduser()):
        return
    _ignored.add(here)
    _log.warning("%s is not read: put it into the data folder (%s), or name it with --config", here, kept)


class Settings(BaseSettings):
    """The whole configuration.

    Attributes:
        home: The one folder that holds weights, database and recordings.
        llm: Engine of each role: catalogue name, path, or ``http(s)://…/v1`` URL.
    """

    model_config = SettingsConfigDict(
        env_prefix="KUAIMEI_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(default_factory=_data_folder)
    """The one folder that holds weights, database and recordings."""
    llm: str = "qwen2.5-coder-1.5b"
    """What thinks: a name from ``kuaimei models list``, a path, or the base URL of a server."""
    asr: str = "whisper-small"
    """What recognises speech: a name, a path or a URL."""
    captions: str = "vosk-small"
    """What writes captions while somebody speaks: a name or a path; ``none``: no captions."""
    tts: str = "kokoro"
    """What speaks: a name, a path or a URL."""
    vad: str = "silero"
    """What tells speech from silence: ``silero``, ``webrtc`` or a path."""
    turn: str = "smart-turn"
    """What tells a pause from the end of a turn: a name or a path; ``none``: silence alone decides."""
    voice: str = ""
    """Default voice; empty: the synthesiser's first."""
    models_sources: str = ""
    """Where weights may come from, in order (``file,hf,pypi,npm``); empty: the catalogue's own order."""

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
        """Arguments, environment, the file that was named, the one in the data folder."""
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
        """Folder of the weights: the one an air-gapped site copies."""
        return self.home / "models"
