"""A life in which everything is written that is ever written, under a umask that opens all to everybody.

Run as a script: ``life.py HOME``. Prints what anybody but the owner could have read, and how much was
written.
"""

import asyncio
import json
import os
import stat
import sys
import threading
from pathlib import Path

from kuaimei.analysis.head_store import keep_head, load_head
from kuaimei.server.voice_previews import VoicePreviews
from kuaimei.settings import Settings
from kuaimei.system.folders import swept_folder
from kuaimei.system.privacy import close_umask, make_data_folder
from tests.support.store.analysing import analysing, everything
from tests.support.store.talking import eventually
from tests.support.voices.running_library import living


class Watch:
    """Looks at every file there is, again and again, so that it sees what is there for a moment only."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.seen: set[str] = set()
        self.open: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> None:
        """Look at all there is now."""
        waiting = [self.home, (self.home / "postgres").resolve()]
        while waiting:
            path = waiting.pop()
            try:
                found = path.lstat()
                if stat.S_ISDIR(found.st_mode):
                    waiting += path.iterdir()
            except OSError:
                continue  # it was there for a moment only
            self.seen.add(str(path.relative_to(path.parents[1])))
            if not stat.S_ISLNK(found.st_mode) and found.st_mode & 0o077:
                self.open.add(f"{path} {stat.filemode(found.st_mode)}")

    def _look(self) -> None:
        while not self._over.wait(0.002):
            self.look()


async def live(home: Path, watch: Watch) -> None:
    settings = Settings(home=home)
    async with living(settings, learn="style") as runtime:
        runtime.order(style=[["progress", 0.2], ["progress", 0.4], ["hang", 0]])
        voice = await runtime.add()
        await runtime.until(voice.id, lambda v: v.learning.state == "running" and v.learning.progress > 0.3)
        samples = VoicePreviews(runtime.bank, "fake", home / "cache" / "voices")
        assert await samples.sample("zf_one")
        recorder = runtime.store.recorder("sess_life")
        everything(recorder, 1)
        assert await runtime.store.flush(60.0)
        await recorder.close()
        await runtime.library.cancel_training(voice.id, "local")
    async with living(settings, working=False) as runtime, analysing(runtime.store, settings) as room:

        async def analysed() -> bool:
            return bool(room.analyst.counts.outcomes)

        await eventually(analysed)
    keep_head(home, load_head(home))
    with swept_folder(home / "run", "worker") as folder:
        (folder / "voice.wav").write_bytes(b"speech")
        watch.look()


def main(home: Path) -> None:
    os.umask(0)
    close_umask()  # as `kuaimei.cli.main` does before anything else
    make_data_folder(home)
    with Watch(home) as watch:
        asyncio.run(live(home, watch))
    json.dump({"open": sorted(watch.open), "seen": sorted(watch.seen)}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
