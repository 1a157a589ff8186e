import subprocess
import sys


def test_as_many_as_the_system_allows() -> None:
    script = (
        "import resource as r\n"
        "from kuaimei.system.descriptors import raise_descriptor_limit\n"
        "hard = r.getrlimit(r.RLIMIT_NOFILE)[1]\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (64, hard))\n"
        "given = raise_descriptor_limit()\n"
        "assert given == r.getrlimit(r.RLIMIT_NOFILE)[0] > 64, given\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (64, 64))\n"
        "assert raise_descriptor_limit() == 64\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
