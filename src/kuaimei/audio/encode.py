"""Encoding of samples to files and streams in the formats that clients ask for."""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer

from kuaimei.audio.pcm import Pcm, to_bytes
from kuaimei.audio.resample import StreamResampler
from kuaimei.audio.sink import BufferSink
from kuaimei.errors import AudioError

__all__ = ["CONTENT_TYPES", "StreamEncoder", "encode"]

CONTENT_TYPES: Mapping[str, str] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "pcm": "audio/pcm",
}
"""Supported output formats and their media types; ``opus`` is Opus in Ogg, ``aac`` is ADTS, ``pcm`` is
raw little-endian 16-bit mono."""

_UNKNOWN = 0xFFFFFFFF  # size in the header of a WAV stream of unknown length


@dataclass(frozen=True, slots=True)
class _Coded:
    """FFmpeg parameters of one output format.

    Attributes:
        rates: Sample rates in Hz that the codec supports, in ascending order; empty: any.
        bit_rate: In bit/s; None: the codec's default.
        options: Of the muxer.
        stream_options: Further muxer options for streams, whose header cannot be completed at the end and
            whose first bytes should come early.
    """

    container: str
    codec: str
    sample_format: str
    rates: tuple[int, ...] = ()
    bit_rate: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    stream_options: Mapping[str, str] = field(default_factory=dict)

    def rate(self, wanted: int) -> int:
        """Return the lowest codec rate >= ``wanted`` (Hz), or the highest one if there is none."""
        if not self.rates or wanted in self.rates:
            return wanted
        return min((r for r in self.rates if r > wanted), default=max(self.rates))


_CODED: Mapping[str, _Coded] = {
    "mp3": _Coded(
        "mp3",
        "libmp3lame",
        "s16p",
        (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
        64_000,
        {"id3v2_version": "0"},
        {"write_xing": "0"},
    ),
    # One Ogg page per 100 ms instead of per second, so that playback starts early.
    "opus": _Coded(
        "ogg", "libopus", "s16", (8000, 12000, 16000, 24000, 48000), 32_000, {}, {"page_duration": "100000"}
    ),
    "flac": _Coded("flac", "flac", "s16"),
    "aac": _Coded(
        "adts",
        "aac",
        "fltp",
        (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
        64_000,
    ),
}


class _Encoder(Protocol):
    def push(self, pcm: Pcm) -> bytes: ...

    def finish(self) -> bytes: ...


class StreamEncoder:
    """Incremental encoder; one per stream, used by one thread at a time.

    Args:
        fmt: Key of `CONTENT_TYPES`.
        rate: Sample rate of the input in Hz. If the codec does not support it, the next higher supported
            rate is written.
        samples: Total number of samples if known in advance, for the WAV header. Otherwise the header says
            "until the end of the stream", which players accept.

    Raises:
        AudioError: If the format is unknown.
    """

    def __init__(self, fmt: str, rate: int, *, samples: int | None = None) -> None:
        self._encoder: _Encoder
        if fmt == "wav":
            self._encoder = _Wav(rate, samples)
        elif fmt == "pcm":
            self._encoder = _RawEncoder()
        elif fmt in _CODED:
            self._encoder = _AvStream(_CODED[fmt], rate)
        else:
            raise AudioError(f"unknown audio format {fmt!r}; supported: {', '.join(CONTENT_TYPES)}")

    def push(self, pcm: Pcm) -> bytes:
        """Encode ``pcm`` and return the bytes available so far; empty while the codec fills a frame."""
        return self._encoder.push(pcm)

    def finish(self) -> bytes:
        """Return the remaining bytes; nothing can be pushed afterwards."""
        return self._encoder.finish()


def encode(pcm: Pcm, rate: int, fmt: str) -> bytes:
    """Encode all of ``pcm`` as a file.

    Args:
        pcm: Mono samples.
        rate: Their sample rate in Hz.
        fmt: Key of `CONTENT_TYPES`.

    Raises:
        AudioError: If the format is unknown.
    """
    if fmt in _CODED:
        file = io.BytesIO()
        whole = _Av(_CODED[fmt], rate, file)
        whole.write(pcm)
        whole.close()
        return file.getvalue()
    encoder = StreamEncoder(fmt, rate, samples=len(pcm))
    return encoder.push(pcm) + encoder.finish()


class _RawEncoder:
    def push(self, pcm: Pcm) -> bytes:
        return to_bytes(pcm)

    def finish(self) -> bytes:
        return b""


class _Wav:
    def __init__(self, rate: int, samples: int | None) -> None:
        size = _UNKNOWN if samples is None else samples * 2
        riff = _UNKNOWN if samples is None else size + 36
        self._header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            b"RIFF",
            riff,
            b"WAVE",
            b"fmt ",
            16,
            1,
            1,
            rate,
            rate * 2,
            2,
            16,
            b"data",
            size,
        )

    def push(self, pcm: Pcm) -> bytes:
        header, self._header = self._header, b""
        return header + to_bytes(pcm)

    def finish(self) -> bytes:
        header, self._header = self._header, b""
        return header


class _AvStream:
    def __init__(self, coded: _Coded, rate: int) -> None:
        self._sink = BufferSink()
        # Every packet is flushed: the first bytes leave early, and written data survives a crash.
        options = {"flush_packets": "1", **coded.stream_options}
        self._av = _Av(coded, rate, self._sink, options)

    def push(self, pcm: Pcm) -> bytes:
        self._av.write(pcm)
        return self._sink.take()

    def finish(self) -> bytes:
        self._av.close()
        return self._sink.take()


class _Av:
    """Writer of one encoded file through FFmpeg; resamples to a rate the codec supports."""

    def __init__(
        self,
        coded: _Coded,
        rate: int,
        file: BufferSink | io.BytesIO,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._rate = coded.rate(rate)
        self._resampler = StreamResampler(rate, self._rate)
        self._container: OutputContainer = av.open(
            file, "w", format=coded.container, options={**coded.options, **(options or {})}
        )
        stream = self._container.add_stream(coded.codec, rate=self._rate, layout="mono")
        assert isinstance(stream, AudioStream)  # noqa: S101 - for the type checker: all our codecs are audio
        self._stream: AudioStream = stream
        self._stream.codec_context.format = coded.sample_format
        if coded.bit_rate is not None:
            self._stream.codec_context.bit_rate = coded.bit_rate
        self._to_codec = av.AudioResampler(format=coded.sample_format, layout="mono", rate=self._rate)
        self._written = 0

    def write(self, pcm: Pcm) -> None:
        self._write(self._resampler.push(pcm))

    def close(self) -> None:
        self._write(self._resampler.flush())
        self._mux(None)
        self._container.close()

    def _write(self, pcm: Pcm) -> None:
        if not len(pcm):
            return
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._written
        self._written += len(pcm)
        for converted in self._to_codec.resample(frame):
            self._mux(converted)

    def _mux(self, frame: av.AudioFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
