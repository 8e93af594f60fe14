"""The file system that programs see: a small read-only root, built once in a mount namespace.

Holds the standard library, the shared libraries it loads, an allow-list of third-party modules and
three devices; no /proc, no /etc, none of the host's folders. Standard library only.
"""

from __future__ import annotations

import os
import sysconfig

from sandbox import linux

BOX = "/box"
SITE = "/site"
_DEVICES = ("null", "zero", "urandom")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
_HIDDEN = ("site-packages", "dist-packages")
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
    sources = _opened(modules)
    linux.mount("tmpfs", _STAGE, "tmpfs", _QUIET, "mode=755,size=16m")
    os.umask(0o022)
    for target, descriptor in sources:
        _bind(descriptor, _STAGE + target, device=target.startswith("/dev/"))
    for folder in (BOX, SITE, "/tmp", "/old"):
        os.makedirs(_STAGE + folder, exist_ok=True)
    _hide_packages()
    os.close(os.open(_STAGE + "/dev/stdin", os.O_CREAT | os.O_WRONLY, 0o444))
    linux.pivot_root(_STAGE, _STAGE + "/old")
    os.chdir("/")
    linux.unmount("/old")
    os.rmdir("/old")
    flags = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | _QUIET
    linux.mount("none", "/", None, flags)


def _opened(modules: dict[str, str]) -> list[tuple[str, int]]:
    """(target, descriptor) of everything to bind; opened before the stage hides anything."""
    standard = sysconfig.get_path("stdlib")
    wanted = {path: path for path in (*_LIBRARIES, standard)}
    wanted |= {f"/dev/{name}": f"/dev/{name}" for name in _DEVICES}
    wanted |= {f"{SITE}/{name}": path for name, path in modules.items()}
    return [
        (target, os.open(path, os.O_PATH))
        for target, path in wanted.items()
        if path and os.path.exists(path)
    ]


def _bind(descriptor: int, target: str, *, device: bool) -> None:
    source = f"/proc/self/fd/{descriptor}"
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    linux.mount(source, target, None, linux.MS_BIND)
    flags = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_NOSUID
    extra = 0 if device else linux.MS_RDONLY | linux.MS_NODEV
    linux.mount("none", target, None, flags | extra | _locked_flags(target))
    os.close(descriptor)


def _locked_flags(path: str) -> int:
    """Flags that a user namespace may not take away from a mount it inherited."""
    now = os.statvfs(path).f_flag
    return sum(flag for seen, flag in _LOCKED if now & seen)


def _hide_packages() -> None:
    """Third-party packages lie inside some of what is bound; they may hold the answers."""
    standard = sysconfig.get_path("stdlib")
    places = [f"{standard}/{name}" for name in _HIDDEN]
    places += ["/usr/lib/python3", "/usr/lib/python3/dist-packages", "/lib/python3"]
    for place in places:
        if os.path.isdir(_STAGE + place):
            linux.mount("tmpfs", _STAGE + place, "tmpfs", _QUIET | linux.MS_RDONLY, "mode=755")


def fresh_box(size_mb: int) -> None:
    """An empty /box for one test, in its own mount namespace."""
    options = f"mode=777,size={size_mb}m,nr_inodes=4096"
    linux.mount("tmpfs", BOX, "tmpfs", _QUIET | linux.MS_NOEXEC, options)
    os.chdir(BOX)


def show_stdin(data: bytes) -> int:
    """A /dev/stdin that can be opened by name; the descriptor to read it from."""
    path = f"{BOX}/.stdin"
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o444)
    linux.mount(path, "/dev/stdin", None, linux.MS_BIND)
    os.unlink(path)
    return os.open("/dev/stdin", os.O_RDONLY)
