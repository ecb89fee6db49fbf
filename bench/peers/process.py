"""The process that a peer runs in: its thread pools, its memory, PyTorch, and the rates of what it repeats."""
import os
import sys
import time

BIG = str(1 << 40)
# freed memory is kept: fresh pages cost more than what is computed in them
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": BIG, "MALLOC_TRIM_THRESHOLD_": BIG, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def settle(**wanted):
    """Thread pools and malloc read their settings once, at process start: sets them and starts again."""
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.environ.update(wanted)
        os.execv(sys.executable, [sys.executable, *sys.argv])


def import_torch():
    """PyTorch; without it the process ends with 3 and says so."""
    try:
        import torch
    except ImportError as error:
        name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
        print(f"{name}: cannot import torch: {error}", file=sys.stderr)
        sys.exit(3)
    return torch


def rates(count, work, seconds):
    """Rates of `work`, which does `count` of something, for so long and three times at least; the first, which fills the caches, left out."""
    found = []
    end = time.perf_counter() + seconds
    while len(found) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        found.append(count / (time.perf_counter() - begin))
    return found[1:]
