"""The file system that programs see: a small read-only root, built once in a mount namespace.

Holds the interpreter, the standard library, the shared libraries they load, an allow-list of
third-party modules and three devices, under names that tell nothing of the host; no /proc, no /etc,
none of the host's folders. Standard library only.
"""

from __future__ import annotations

import os
import sys

from sandbox import linux

BOX = "/box"
SITE = "/site"
PYTHON = "/python"
EXECUTABLE = f"{PYTHON}/bin/python3"
OWN_CODE = "/runner"
_OWN_MODULES = (
    *("__init__", "boxes", "candidate", "child", "confine", "linux", "protocol", "root"),
    *("memoryless", "seccomp", "seccomp_calls", "series", "stage", "streams", "surroundings"),
    *("watch", "zygote"),
    *("assertion", "calls", "check", "literal"),
    *("harness", "mlssd", "official", "session", "typed"),  # for profiles other than faithful
)
_DEVICES = ("null", "zero", "urandom")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
# Third-party packages lie inside some of what is bound, and they may hold the answers.
_HIDDEN = (
    "{0}/python3",
    "{0}/site-python",
    "{0}/python*/site-packages",
    "{0}/python*/dist-packages",
)
_QUIET = linux.MS_NOSUID | linux.MS_NODEV
_LOCKED = (
    (os.ST_RDONLY, linux.MS_RDONLY),
    (os.ST_NODEV, linux.MS_NODEV),
    (os.ST_NOEXEC, linux.MS_NOEXEC),
    (os.ST_NOATIME, linux.MS_NOATIME),
    (os.ST_NODIRATIME, linux.MS_NODIRATIME),
    (os.ST_RELATIME, linux.MS_RELATIME),
)
_STAGE = "/tmp"  # exists everywhere; hidden by our own tmpfs, in our own namespace only


def build(modules: dict[str, str]) -> None:
    """Makes the new root and moves into it. `modules`: names and places of third-party modules.

    The caller is in a mount namespace of its own and may mount.
    """
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    sources = _opened(_wanted(modules))
    own = _own_code()
    linux.mount("tmpfs", _STAGE, "tmpfs", _QUIET, "mode=755,size=16m")
    os.umask(0o022)
    for target, descriptor in sources:
        _bind(descriptor, _STAGE + target, device=target.startswith("/dev/"))
    for folder in (BOX, SITE, "/tmp", "/old"):
        os.makedirs(_STAGE + folder, exist_ok=True)
    _hide_packages([*_LIBRARIES, f"{PYTHON}/lib", f"{PYTHON}/lib64"])
    for name, text in own.items():
        _write(_STAGE + name, text)
    _write(_STAGE + "/dev/stdin", b"")
    linux.pivot_root(_STAGE, _STAGE + "/old")
    os.chdir("/")
    linux.unmount("/old")
    os.rmdir("/old")
    flags = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | _QUIET
    linux.mount("none", "/", None, flags)


def _wanted(modules: dict[str, str]) -> dict[str, str]:
    """Targets in the new root, and what of the host is bound there."""
    wanted = {path: path for path in _LIBRARIES}
    wanted |= _interpreter()
    wanted |= {f"/dev/{name}": f"/dev/{name}" for name in _DEVICES}
    return wanted | {f"{SITE}/{name}": path for name, path in modules.items()}


def _interpreter() -> dict[str, str]:
    """The interpreter below PYTHON, so that no path of the host shows in a program."""
    prefix = sys.base_prefix
    wanted = {EXECUTABLE: os.path.realpath(sys.executable)}
    if prefix == "/usr":  # its lib is everybody's
        import sysconfig

        for key in ("stdlib", "platstdlib"):
            path = sysconfig.get_path(key, vars={"base": prefix, "platbase": prefix})
            wanted[PYTHON + path.removeprefix(prefix)] = path
        return wanted
    for name in ("lib", "lib64"):
        wanted[f"{PYTHON}/{name}"] = f"{prefix}/{name}"
    return wanted


def _own_code() -> dict[str, bytes]:
    here = os.path.dirname(os.path.abspath(__file__))
    return {f"{OWN_CODE}/sandbox/{name}.py": _read(f"{here}/{name}.py") for name in _OWN_MODULES}


def _opened(wanted: dict[str, str]) -> list[tuple[str, int]]:
    """(target, descriptor) of everything to bind; opened before the stage hides anything."""
    return [
        (target, os.open(path, os.O_PATH))
        for target, path in wanted.items()
        if os.path.exists(path)
    ]


def _bind(descriptor: int, target: str, *, device: bool) -> None:
    source = f"/proc/self/fd/{descriptor}"
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        _write(target, b"")
    linux.mount(source, target, None, linux.MS_BIND | linux.MS_REC)
    # Devices too: what is written to them is no change of the file, its times would be one.
    flags = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_NOSUID | linux.MS_RDONLY
    extra = 0 if device else linux.MS_NODEV
    linux.mount("none", target, None, flags | extra | _locked_flags(target))
    os.close(descriptor)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def _locked_flags(path: str) -> int:
    """Flags that a user namespace may not take away from a mount it inherited."""
    now = os.statvfs(path).f_flag
    return sum(flag for seen, flag in _LOCKED if now & seen)


def _hide_packages(folders: list[str]) -> None:
    from glob import glob  # here, as sysconfig above, so that the second stage stays slim

    patterns = [pattern.format(_STAGE + folder) for folder in folders for pattern in _HIDDEN]
    for place in sorted({place for pattern in patterns for place in glob(pattern)}):
        if os.path.isdir(place) and not os.path.islink(place):  # the outer ones hide the inner
            linux.mount("tmpfs", place, "tmpfs", _QUIET | linux.MS_RDONLY, "mode=755")


def fresh_box(size_mb: int) -> None:
    """An empty /box, in a mount namespace of the caller's own. Reading it leaves no trace."""
    options = f"mode=777,size={size_mb}m,nr_inodes=4096"
    flags = _QUIET | linux.MS_NOEXEC | linux.MS_NOATIME | linux.MS_NODIRATIME
    linux.mount("tmpfs", BOX, "tmpfs", flags, options)
    os.chdir(BOX)


def hidden_folder() -> int:
    """A folder of memory that has no path: its descriptor. To be made before /box is."""
    flags = _QUIET | linux.MS_NOEXEC | linux.MS_NOATIME | linux.MS_NODIRATIME
    linux.mount("tmpfs", BOX, "tmpfs", flags, "mode=777,size=0,nr_inodes=0")
    descriptor = os.open(BOX, os.O_RDONLY | os.O_DIRECTORY)
    linux.unmount(BOX)
    return descriptor


def show_stdin(data: bytes) -> int:
    """A /dev/stdin that can be opened by name; the descriptor to read it from. Takes no box."""
    path = f"{BOX}/stdin"
    linux.mount("tmpfs", BOX, "tmpfs", _QUIET | linux.MS_NOEXEC, f"size={len(data) + 65_536}")
    _write(path, data)
    os.chmod(path, 0o444)
    linux.mount(path, "/dev/stdin", None, linux.MS_BIND)
    linux.unmount(BOX)
    return os.open("/dev/stdin", os.O_RDONLY)
