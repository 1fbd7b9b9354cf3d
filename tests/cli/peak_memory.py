"""How much memory a command takes at most."""

import os
import subprocess


def peak_memory(command: list, folder) -> int:
    """Bytes, of a command that succeeds in this folder."""
    # AddressSanitizer keeps what was freed for a while.
    options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env={**os.environ, "ASAN_OPTIONS": options})
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_maxrss * 1024
