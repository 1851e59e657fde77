"""What the processes that this room starts get of our environment."""

import os
import re
import sysconfig
from pathlib import Path

_ROOT = Path(__file__).absolute().parents[3]  # what local_assistants lies in
_PASSED = re.compile(
    r"(PATH|HOME|USER|LANG|LANGUAGE|LC_.*|TZ|TMPDIR|LD_LIBRARY_PATH|VIRTUAL_ENV|XDG_.*|PYTHON.*"
    r"|(CUDA|NVIDIA|HIP|ROCR|ROCM|HSA|SYCL|ONEAPI|ZE|VK|VULKAN|GGML|LLAMA|OMP|GOMP|KMP|MKL|OPENBLAS)_.*)"
)


def environment() -> dict[str, str]:
    """What the process gets of our environment, and what it must have."""
    passed = {key: value for key, value in os.environ.items() if _PASSED.fullmatch(key)}
    if str(_ROOT) != sysconfig.get_path("purelib"):  # a checkout that nobody may have installed
        before = passed.get("PYTHONPATH")
        passed["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *([before] if before else [])])
    passed.setdefault("GGML_NO_BACKTRACE", "1")  # else an abort starts a debugger
    if "OMP_WAIT_POLICY" not in passed:
        passed.setdefault("GOMP_SPINCOUNT", "1000")  # docs/decisions/0006-waiting-threads.md
    return passed
