"""Sandboxed process that decodes untrusted audio files. Run as a script.

It imports nothing from the package.
Standard input is the file (seekable), standard output the samples. Exit status 0: everything was decoded;
2: the file cannot be decoded, and standard error gives the reason in one sentence.

Usage: ``_decode_worker.py RATE MAX_S CPU_S MEMORY_MB``.
"""

import os
import resource
import sys

# Allowed containers: those that recorders and telephones write. Playlists and other formats that refer to
# further files or addresses (hls, concat, dash …) would be a way out of this process.
_FORMATS = "wav,w64,aiff,caf,mp3,flac,ogg,aac,mov,mp4,m4a,3gp,matroska,webm,asf,amr,avi,mpegts"
# Allowed audio codecs. Without this list FFmpeg also opens the video decoders, to probe the first frames of
# every stream.
_CODECS = (
    "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_u8,pcm_s8,pcm_f32le,pcm_f32be,pcm_f64le,"
    "pcm_f64be,pcm_alaw,pcm_mulaw,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,gsm,gsm_ms,mp1,mp1float,mp2,mp2float,mp3,"
    "mp3float,aac,aac_latm,ac3,eac3,flac,alac,vorbis,opus,libopus,speex,amrnb,amrwb,libopencore_amrnb,"
    "libopencore_amrwb,wmav1,wmav2,wmapro,wmalossless,wmavoice"
)
_DESCRIPTORS = 16

_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446  # the same numbers on all processors
_LANDLOCK_VERSION = 1
_LANDLOCK_FILES = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # number of file access rights, by ABI version
_LANDLOCK_NET_FROM, _LANDLOCK_SCOPE_FROM = 4, 6


def main() -> int:
    rate, max_s, cpu_s, memory_mb = (int(argument) for argument in sys.argv[1:5])
    for limit, value in (
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    os.nice(5)  # live conversations have priority

    import av
    import av.subtitles.stream  # av would import it at the first subtitle, after file access is dropped

    _confine()
    return _decode(av, rate, max_s)


def _confine() -> None:
    """Drop access to further files, the network, new processes and new privileges.

    Each restriction is independent: where the system refuses one, the others still apply.
    """
    for limit, value in ((resource.RLIMIT_NOFILE, _DESCRIPTORS), (resource.RLIMIT_NPROC, 0)):
        resource.setrlimit(limit, (value, value))
    if sys.platform != "linux":
        return
    import ctypes

    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # An empty network namespace; without root that requires a user namespace.
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWNET)
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 1:
        return
    # All kinds of access are handled and no rule allows any: everything is denied.
    handled = [
        (1 << _LANDLOCK_FILES.get(version, max(_LANDLOCK_FILES.values()))) - 1,
        0b11 if version >= _LANDLOCK_NET_FROM else 0,
        0b11 if version >= _LANDLOCK_SCOPE_FROM else 0,
    ]
    attributes = (ctypes.c_uint64 * 3)(*handled)
    known = 8 * (1 + (version >= _LANDLOCK_NET_FROM) + (version >= _LANDLOCK_SCOPE_FROM))
    rules = libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(known), 0)
    if rules >= 0:
        libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, 0)
        os.close(rules)


def _decode(av, rate: int, max_s: int) -> int:  # type: ignore[no-untyped-def]
    av.logging.set_level(None)
    options = {
        "format_whitelist": _FORMATS,
        "codec_whitelist": _CODECS,
        "protocol_whitelist": "",
        "max_streams": "32",
    }
    sink = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    left = rate * max_s
    try:
        with os.fdopen(0, "rb", closefd=False) as source, av.open(source, "r", options=options) as container:
            if not container.streams.audio:
                return _refuse("the file contains no audio")
            stream = container.streams.audio[0]
            if stream.codec_context is None or stream.codec_context.codec.name not in _CODECS.split(","):
                return _refuse("the audio format of the file is not supported")
            stream.codec_context.thread_type = "NONE"
            resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
            decoded = 0
            damaged: Exception | None = None
            try:
                for frame in container.decode(stream):
                    frame.pts = None  # timestamps are untrusted: gaps are not filled
                    for made in resampler.resample(frame):
                        left -= made.samples
                        decoded += made.samples
                        if left < 0:
                            return _refuse(f"the audio is longer than {max_s} s")
                        sink.write(memoryview(made.planes[0])[: made.samples * 2])
            except av.FFmpegError as exc:
                damaged = exc  # audio before the damage is kept, as players do
            for made in resampler.resample(None):
                decoded += made.samples
                sink.write(memoryview(made.planes[0])[: made.samples * 2])
            if not decoded:
                if damaged is not None:
                    return _refuse("the file is damaged: none of its audio could be decoded")
                return _refuse("the file contains no audio")
            sink.flush()
    except MemoryError:
        return _refuse("decoding the file needs more memory than is allowed")
    except (av.FFmpegError, ValueError):
        return _refuse("the file is not in a supported audio format, or it is damaged")
    return 0


def _refuse(sentence: str) -> int:
    sys.stderr.write(sentence)
    return 2


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # no destructors: the samples are out, and a hostile file may have corrupted the heap
