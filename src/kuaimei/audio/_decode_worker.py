"""The bounded process in which strangers' files are decoded. Run as a script; imports nothing of the house.

Standard input is the file (seekable), standard output the samples. Exit status 0: all of it; 2: it cannot
be decoded, and standard error says why in one sentence.

Usage: ``_decode_worker.py RATE MAX_S CPU_S MEMORY_MB``.
"""

import os
import resource
import sys

# What may be opened, so that playlists and other formats that refer to further files or addresses
# (hls, concat, dash …) are no way out of this process.
_FORMATS = (
    "wav,w64,aiff,au,caf,mp3,flac,ogg,aac,mov,mp4,m4a,3gp,matroska,webm,asf,amr,ac3,avi,mpegts,mpeg,opus"
)


def main() -> int:
    rate, max_s, cpu_s, memory_mb = (int(argument) for argument in sys.argv[1:5])
    for limit, value in (
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    os.nice(5)  # whoever is being spoken to comes first

    import av

    av.logging.set_level(None)
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "", "max_streams": "32"}
    sink = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    left = rate * max_s
    try:
        with os.fdopen(0, "rb", closefd=False) as source, av.open(source, "r", options=options) as container:
            if not container.streams.audio:
                return _refuse("the file holds no audio")
            stream = container.streams.audio[0]
            stream.codec_context.thread_type = "NONE"
            resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
            decoded = 0
            damaged: Exception | None = None
            try:
                for frame in container.decode(stream):
                    frame.pts = None  # clocks of strangers: gaps are not filled
                    for made in resampler.resample(frame):
                        left -= made.samples
                        decoded += made.samples
                        if left < 0:
                            return _refuse(f"the audio is longer than {max_s} s")
                        sink.write(memoryview(made.planes[0])[: made.samples * 2])
            except av.FFmpegError as exc:
                damaged = exc  # what came before a damaged end is kept, as players do
            for made in resampler.resample(None):
                decoded += made.samples
                sink.write(memoryview(made.planes[0])[: made.samples * 2])
            if not decoded:
                if damaged is not None:
                    return _refuse("the file is damaged: none of its audio could be decoded")
                return _refuse("the file holds no audio")
            sink.flush()
    except MemoryError:
        return _refuse("decoding the file needs more memory than is allowed")
    except (av.FFmpegError, ValueError):
        return _refuse("the file is not in an audio format that can be read, or it is damaged")
    return 0


def _refuse(sentence: str) -> int:
    sys.stderr.write(sentence)
    return 2


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # no destructors: the samples are out, and a hostile file may have left a mess
