"""The machine that figures are measured on, and the processes of a server."""

import os
import platform
from pathlib import Path


def describe() -> dict[str, str | int | float]:
    """Return the kind of machine and its load."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def family(root: int) -> dict[int, float]:
    """Return a process and its living descendants, and the processor time in seconds that each has used so far."""
    parents, used = {}, {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        pid = int(folder.name)
        parents[pid] = int(fields[1])
        used[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    found, coming = {}, [root]
    while coming:
        pid = coming.pop()
        found[pid] = used.get(pid, 0.0)
        coming += [child for child, parent in parents.items() if parent == pid]
    return found
