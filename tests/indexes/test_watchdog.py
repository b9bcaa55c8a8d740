"""A device that answers no more ends its process, and nothing else does."""

from __future__ import annotations

import subprocess
import sys

import pytest

WATCHED = """
import sys, time
from indexes.device import watchdog
watchdog.SECONDS = 0.2
device, inside = sys.argv[1], float(sys.argv[2])
with watchdog.watched(device, "embedding 3 images"):
    time.sleep(inside)
time.sleep(0.4)
print("still here")
"""


@pytest.mark.parametrize(
    ("device", "inside", "code"), [("cuda:1", 30.0, 1), ("cuda:1", 0.01, 0), ("cpu", 0.4, 0)]
)
def test_a_device_that_answers_no_more_ends_its_process(device: str, inside: float, code: int) -> None:
    command = [sys.executable, "-c", WATCHED, device, str(inside)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (found.returncode, found.stdout) == (code, "" if code else "still here\n")
    said = "nearfar: cuda:1 has not answered for 0.2 s (embedding 3 images), so this process ends. What was committed"
    assert found.stderr.startswith(said) if code else not found.stderr


LOST = """
from indexes.device import watchdog

def fails(device, said):
    try:
        with watchdog.watched(device, "embedding 3 images"):
            raise RuntimeError(said)
    except RuntimeError as error:
        print(str(error))

fails("cuda:1", "CUDA error: unspecified launch failure")
watchdog.is_replaced()
fails("cuda:1", "CUDA error: out of memory")
fails("cuda:1", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate")
fails("cuda:1", "mat1 and mat2 shapes cannot be multiplied")
fails("cuda:1", "CUDA error: unspecified launch failure\\nCompile with TORCH_USE_CUDA_DSA")
"""


def test_a_process_that_is_replaced_ends_with_its_device_and_no_other_does() -> None:
    found = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, timeout=20)
    assert found.returncode == 1
    assert found.stdout.splitlines() == [
        "CUDA error: unspecified launch failure",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate",
        "mat1 and mat2 shapes cannot be multiplied",
    ]
    assert found.stderr.startswith(
        "nearfar: cuda:1 is lost (embedding 3 images: CUDA error: unspecified launch failure), so this process ends."
    )
