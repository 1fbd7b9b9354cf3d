"""What the processor has, and keeping to a part of it."""

import os
import re
import resource
from pathlib import Path


def name() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else "unknown processor"


def has_bf16() -> bool:
    """Instructions that multiply bf16; without them it is computed in fp32 after all, and more slowly."""
    return re.search(r"\b(avx512_bf16|amx_bf16)\b", Path("/proc/cpuinfo").read_text()) is not None


def cores() -> list[list[int]]:
    """The logical processors that this process may use, by physical core."""
    found: dict[str, list[int]] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        found.setdefault(siblings.read_text() if siblings.exists() else str(cpu), []).append(cpu)
    return list(found.values())


class Neighbours:
    """What other programs take of the machine while this one waits for its children."""

    def __init__(self):
        self.before = self.ticks()

    @staticmethod
    def ticks() -> tuple[float, float, float]:
        """Seconds of all processors together: of everything, of nothing, and of the children that have ended."""
        words = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        counts = [int(word) / os.sysconf("SC_CLK_TCK") for word in words]
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return sum(counts), counts[3] + counts[4], children.ru_utime + children.ru_stime

    def share(self) -> float:
        """Since the beginning, [0, 1]."""
        total, idle, children = (now - then for now, then in zip(self.ticks(), self.before))
        return max(0.0, total - idle - children) / max(total, 1e-9)


def keep_to(threads: int) -> None:
    """This process and its children keep to as many logical processors, on cores of their own as far as there are any: else
    the kernel may put two threads on one core and leave another idle."""
    by_core = cores()
    in_order = [core[turn] for turn in range(max(map(len, by_core))) for core in by_core if turn < len(core)]
    os.sched_setaffinity(0, in_order[:threads])
