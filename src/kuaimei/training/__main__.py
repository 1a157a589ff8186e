"""The training process: ``python -m kuaimei.training JOBFOLDER``.

Standard output carries JSON lines (`progress_events`) and nothing else. On SIGTERM a checkpoint is saved, and
the exit status is 0. After a kill or failure the next process resumes from the last checkpoint.
"""

import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from kuaimei.errors import KuaimeiError
from kuaimei.training.job import read_job
from kuaimei.training.progress_events import ProgressReporter

_USAGE = 64


def main(arguments: list[str]) -> int:
    """Run the job in the folder that is the only argument; return the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m kuaimei.training JOBFOLDER\n")
        return _USAGE
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    reports = ProgressReporter(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # keeps library output out of the events
    try:
        job = read_job(Path(arguments[0]))
        from kuaimei.training.runner import run_job  # torch: seconds, and an error where it is missing

        run_job(job, reports, lambda: stopped)
    except KuaimeiError as error:
        reports.failed(str(error))
        return 1
    except ImportError as error:
        reports.failed(
            f"the training environment is incomplete ({error}): delete the folder learning-environment in "
            "the data folder, and it will be installed again"
        )
        return 1
    except MemoryError:
        reports.failed("there is not enough memory to train a voice: about 4 GB are needed")
        return 1
    except Exception as error:
        traceback.print_exc()
        reports.failed(f"training failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
