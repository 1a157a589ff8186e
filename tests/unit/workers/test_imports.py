import subprocess
import sys


def test_a_worker_imports_its_own_requirements_only() -> None:
    """Images of engines have `deploy/engines/worker.txt`, not what the server needs besides."""
    script = (
        "import sys, kuaimei.cli.worker, kuaimei.workers.text_preparation\n"
        "kept = {'jieba', 'misaki', 'openai', 'onnxruntime', 'sqlalchemy', 'procrastinate', 'aiortc',\n"
        "        'faster_whisper', 'vosk', 'openvino', 'prometheus_client', 'psutil', 'soundfile', 'torch'}\n"
        "print(sorted(kept & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
