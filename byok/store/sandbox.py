"""Makes the process that calls it harmless: limits, no privileges, no files, no network, no other processes.

Linux: rlimits, capabilities, no_new_privs, dumpable, pdeathsig, Landlock (5.13 and later) and seccomp. Elsewhere only the rlimits that the
platform has. Every function reports what is really in force; nothing here can be undone by the process itself.
References: https://docs.kernel.org/userspace-api/landlock.html, https://man7.org/linux/man-pages/man2/seccomp.2.html
"""

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from typing import NamedTuple

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


class _Machine(NamedTuple):
    """Numbers of one processor's system calls. `harmless` are let through as they come: nothing that opens, connects, starts or signals."""

    audit_arch: int
    seccomp: int
    capset: int
    prlimit64: int
    mmap: int
    mprotect: int
    harmless: tuple[int, ...]


_MACHINES = {
    "x86_64": _Machine(
        audit_arch=0xC000003E, seccomp=317, capset=126, prlimit64=302, mmap=9, mprotect=10,
        harmless=(
            0, 1, 3, 5, 8,  # read write close fstat lseek
            11, 12, 25, 28, 202,  # munmap brk mremap madvise futex
            13, 14, 15, 131, 219,  # rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall
            228, 229, 230, 35, 96, 201, 24,  # clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time sched_yield
            39, 186, 98, 100, 99, 63, 309, 318, 204,  # getpid gettid getrusage times sysinfo uname getcpu getrandom sched_getaffinity
            60, 231,  # exit exit_group
        ),
    ),
    "aarch64": _Machine(
        audit_arch=0xC00000B7, seccomp=277, capset=91, prlimit64=261, mmap=222, mprotect=226,
        harmless=(
            63, 64, 57, 80, 62,
            215, 214, 216, 233, 98,
            134, 135, 139, 132, 128,
            113, 114, 115, 101, 169, 124,
            172, 178, 165, 153, 179, 160, 168, 278, 123,
            93, 94,
        ),
    ),
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


def missing_walls() -> tuple[str, ...]:
    """Those of the kernel's two walls around a process, `landlock` and `seccomp`, that this system lacks; asking changes nothing."""
    if sys.platform != "linux":
        return ("landlock", "seccomp")
    machine, allow = _MACHINES.get(platform.machine()), ctypes.c_uint32(0x7FFF0000)
    get_version, get_action = 1, 2
    has = {
        "landlock": _libc.syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint(get_version)) >= 1,
        "seccomp": machine is not None and _libc.syscall(machine.seccomp, get_action, 0, ctypes.byref(allow)) == 0,
    }
    return tuple(wall for wall, there in has.items() if not there)


def limit_resources(*, cpu_s: int) -> None:
    """No core, no growing file, 16 descriptors; `cpu_s` seconds of processor time for the whole life of the process."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, 16)
    _lower(resource.RLIMIT_CPU, cpu_s)


def limit_memory(more_bytes: int) -> None:
    """Let the address space grow by at most `more_bytes` from where it is now; nothing where the system does not say where that is."""
    with contextlib.suppress(OSError):
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  (pathlib would open more than this)
            pages = int(file.read().split()[0])
        limit_address_space(pages * resource.getpagesize() + more_bytes)


def limit_address_space(total_bytes: int) -> None:
    """At most `total_bytes` of address space, for good."""
    _lower(resource.RLIMIT_AS, total_bytes)


def limit_private_memory(total_bytes: int) -> None:
    """At most `total_bytes` of memory of the process's own, touched or not, for good."""
    _lower(resource.RLIMIT_DATA, total_bytes)


def limit_cpu(more_s: float) -> None:
    """Let the process compute `more_s` seconds more before the kernel ends it; may be called again, up to the limit for its whole life."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    wanted = int(used.ru_utime + used.ru_stime + more_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def lock(parent: int) -> list[str]:
    """Close every door for good, in the order in which they must be closed, and return the names of the closed ones.

    To be called with one thread and with everything imported: afterwards no file can be opened. `parent` is the process whose end must be
    ours too; if it is gone already, this process ends here.
    """
    if sys.platform != "linux":
        return ["rlimits"]
    steps = (
        ("no_capabilities", _drop_capabilities),
        ("no_new_privs", lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1)),
        ("not_dumpable", lambda: _prctl(_PR_SET_DUMPABLE, 0)),
        ("dies_with_parent", lambda: _die_with(parent)),
        ("landlock", _landlock),
        ("seccomp", _seccomp),
    )
    return ["rlimits"] + [name for name, close in steps if close()]


def _lower(which: int, value: int) -> None:
    # macOS refuses some of these; the parent's wall clock still holds.
    with contextlib.suppress(OSError, ValueError):
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def _prctl(option: int, value: int) -> bool:
    return bool(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0)


def _die_with(parent: int) -> bool:
    asked = _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)
    return asked


def _drop_capabilities() -> bool:
    """Under root: without them hard limits cannot be raised again, and no other process can be traced."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    header = struct.pack("=Ii", 0x20080522, 0)
    return bool(_libc.syscall(machine.capset, header, bytes(24)) == 0)


def _landlock() -> bool:
    """A rule set that handles every right the kernel knows and grants none."""
    version = _libc.syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if version < 1:
        return False
    file_rights = 13 if version == 1 else 14 if version == 2 else 15 if version < 5 else 16
    attributes = struct.pack("=Q", (1 << file_rights) - 1)
    if version >= 4:
        attributes += struct.pack("=Q", 0b11)  # bind and connect
    if version >= 6:
        attributes += struct.pack("=Q", 0b11)  # abstract sockets and signals of processes outside
    rules = _libc.syscall(444, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if rules < 0:
        return False
    try:
        return bool(_libc.syscall(446, rules, 0) == 0)
    finally:
        os.close(rules)


def _seccomp() -> bool:
    """Refuse every system call but the harmless ones, in all threads (TSYNC); a call of another architecture ends the process."""
    machine = _MACHINES.get(platform.machine())
    if machine is None or struct.calcsize("P") != 8:
        return False
    program = _filter(machine)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    set_mode_filter, tsync = 1, 1
    return bool(_libc.syscall(machine.seccomp, set_mode_filter, tsync, header) == 0)


def _filter(machine: _Machine) -> bytes:
    """The classic BPF program over struct seccomp_data: nr at 0, arch at 4, arguments (little-endian, 8 bytes each) from 16."""
    load, equal, has_bits, give = 0x20, 0x15, 0x45, 0x06
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | 13, 0x80000000  # 13 = EACCES

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    program = step(load, 4) + step(equal, machine.audit_arch, 1, 0) + step(give, kill) + step(load, 0)
    for number in machine.harmless:
        program += step(equal, number, 0, 1) + step(give, allow)
    # One's own limits only (argument 0 is the pid; the kernel lets nobody without capabilities raise a hard limit).
    program += step(equal, machine.prlimit64, 0, 4) + step(load, 16) + step(equal, 0, 0, 1) + step(give, allow) + step(give, refuse)
    # Memory, but never executable (argument 2 & PROT_EXEC).
    for number in (machine.mmap, machine.mprotect):
        program += step(equal, number, 0, 4) + step(load, 32) + step(has_bits, 4, 1, 0) + step(give, allow) + step(give, refuse)
    return program + step(give, refuse)
