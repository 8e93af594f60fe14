"""Attempts on the sandbox of our own, beyond the numbered ones; a table as `hostile_programs` is.

The same rules: "1" is printed if and only if it got through, but for rows that allow `passed`, and
no harm where a sandbox is broken. What each tells is in docs/sandbox.md. Standard library only.
"""

from __future__ import annotations

from hostile_programs import AC, CE, MLE, RAW, RE, TLE, WA, Attempt, function, refused

from sandbox import linux

_FORK_TEST = getattr(linux, "FORK_TEST", linux.CLONE_NEWPID | linux.SIGCHLD)
_SOCKETS = "import socket, os, fcntl, struct\na, b = socket.socketpair()\n"
_LIMIT = "import resource as r\n"
_FRAMES = "import sys\nf = sys._getframe()\nfound = []\nwhile f: found.append(f); f = f.f_back\n"

OUTLIVING = {
    "its parent's death": Attempt(
        f"{RAW}e = ctypes.get_errno() if libc.prctl(1, 0, 0, 0, 0) else 0\n"
        "print(1 if e == 1 else e)",
        (AC,),
    ),
    "its parent's death, another signal": Attempt(
        f"{RAW}print(1 if libc.prctl(1, 17, 0, 0, 0) == 0 else 2)", (WA,)
    ),
    "a fork as our own": refused("clone", _FORK_TEST, 0, 0, 0, 0),
    "a fork as our own, sharing memory": refused("clone", _FORK_TEST | 0x100, 0, 0, 0, 0),
    "a fork as our own, high half": refused("clone", _FORK_TEST | 1 << 40, 0, 0, 0, 0),
    "a child subreaper's orphans": Attempt(
        f"{RAW}import os\nlibc.prctl(36, 1, 0, 0, 0)\nif not os.fork(): os._exit(0)\nprint(1)"
    ),
    "through the forking parent's own code": Attempt(
        f"{_FRAMES}for f in found:\n    if 'stage' in f.f_locals:\n"
        "        f.f_locals['stage'].start(lambda: None)\n        print(1)\n"
        "raise ValueError('no such frame')"
    ),
}
SIGNALS = {
    "owner of a socket by ioctl": Attempt(
        f"{_SOCKETS}fcntl.ioctl(a, 0x8901, struct.pack('i', os.getppid()))\nprint(1)"
    ),
    "group of a socket by ioctl": Attempt(
        f"{_SOCKETS}fcntl.ioctl(a, 0x8902, struct.pack('i', os.getppid()))\nprint(1)"
    ),
    "owner of a socket, extended": Attempt(
        f"{_SOCKETS}fcntl.fcntl(a, 15, struct.pack('ii', 1, os.getppid()))\nprint(1)"
    ),
    "characters pushed to a terminal": Attempt(
        "import fcntl\nfor fd in (0, 1, 2): fcntl.ioctl(fd, 0x5412, b'x')\nprint(1)"
    ),
    "its own death by SIGKILL": Attempt("import os\nos.kill(os.getpid(), 9)\nprint(2)", (WA, MLE)),
    "its own death by a timer": Attempt(
        f"{RAW}import struct, time\ne = struct.pack('qii48x', 0, 9, 0)\nt = ctypes.c_int()\n"
        "libc.timer_create(0, e, ctypes.byref(t))\n"
        "libc.timer_settime(t, 0, struct.pack('4q', 0, 0, 0, 10**7), None)\n"
        "time.sleep(0.3)\nprint(2)",
        (WA, MLE, RE),
    ),
    "a stop of its own": Attempt("import os\nos.kill(os.getpid(), 19)\nprint(2)", (WA, TLE)),
    "a pause": Attempt("import signal\nsignal.pause()", (TLE,)),
}
LIMITS = {
    "no CPU": Attempt(f"{_LIMIT}r.setrlimit(r.RLIMIT_CPU, (0, 0))\nwhile 1: pass", (TLE, MLE, RE)),
    "no file size": Attempt(f"{_LIMIT}r.setrlimit(r.RLIMIT_FSIZE, (0, 0))\nprint(1)", (RE, WA)),
    "no address space": Attempt(
        f"{_LIMIT}r.setrlimit(r.RLIMIT_AS, (1, 1))\nx = bytearray(10**8)\nprint(1)", (RE, MLE)
    ),
    "no descriptors": Attempt(
        f"{_LIMIT}r.setrlimit(r.RLIMIT_NOFILE, (0, 0))\nopen('f', 'w')\nprint(1)"
    ),
    "no stack": Attempt(
        f"{_LIMIT}r.setrlimit(r.RLIMIT_STACK, (0, 0))\ndef f(n): return n and f(n - 1)\n"
        "f(9000)\nopen('/etc/passwd')\nprint(1)"
    ),
    "terabytes mapped": Attempt("import mmap\nmmap.mmap(-1, 1 << 40)\nprint(1)", (RE, MLE)),
    "stacks of a gigabyte": Attempt(
        "import threading\nthreading.stack_size(1 << 30)\n"
        "for _ in range(4): threading.Thread(target=input).start()\nprint(1)", (RE, MLE)
    ),
    "every pipe": Attempt("import os\nfor _ in range(10**4): os.pipe()\nprint(1)"),
    "every pair of sockets": Attempt(
        "import socket\nx = [socket.socketpair() for _ in range(10**4)]\nprint(1)"
    ),
    "a pipe of a gigabyte": Attempt(
        "import fcntl, os\nfcntl.fcntl(os.pipe()[0], 1031, 1 << 30)\nprint(1)"
    ),
    "a file without a name": Attempt(
        "import os\nfd = os.open('.', os.O_TMPFILE | os.O_RDWR)\n"
        "os.posix_fallocate(fd, 0, 10**9)\nprint(1)"
    ),
    "folders beyond any depth": Attempt(
        "import os\nfor _ in range(300): os.mkdir('d'); os.chdir('d')\nprint(1)", (AC, RE, TLE)
    ),
    "real-time scheduling": Attempt(
        "import os\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))\nprint(1)"
    ),
    "a better priority": Attempt("import os\nos.nice(-5)\nprint(1)"),
    "I/O priority": refused("ioprio_set", 1, 0, 0),
    "memory placement": refused("set_mempolicy", 0, 0, 0),
}  # fmt: skip
PRIVILEGES = {
    "all capabilities": Attempt(
        f"{RAW}import struct\nheader = struct.pack('Ii', 0x20080522, 0)\n"
        "e = ctypes.get_errno() if libc.capset(header, b'\\xff' * 24) else 0\n"
        "print(1 if e == 1 else e)",
        (AC,),
    ),
    "an ambient capability": Attempt(
        f"{RAW}print(1 if libc.prctl(47, 2, 21, 0, 0) == 0 else 2)", (WA,)
    ),
    "new privileges again": Attempt(
        f"{RAW}print(1 if libc.prctl(38, 0, 0, 0, 0) == 0 else 2)", (WA,)
    ),
    "another user": Attempt("import os\nos.setuid(1)\nprint(1)"),
    "another group": Attempt("import os\nos.setgroups([1])\nprint(1)"),
    "another host name": Attempt("import socket\nsocket.sethostname('hostile')\nprint(1)"),
    "the clock": Attempt("import time\ntime.clock_settime(0, time.time())\nprint(1)"),
    "reboot with no magic": refused("reboot", 0, 0, 0, 0),
    "a kernel module": refused("init_module", 0, 0, "b''"),
    "the kernel's log": refused("syslog", 10, 0, 0),
    "a personality": refused("personality", 0xFFFFFFFF),
    "fewer rules of its own": refused("landlock_create_ruleset", 0, 0, 0),
    "a process by descriptor": refused("pidfd_open", 1, 0),
    "the mounts": refused("listmount", 0, 0, 0, 0),
    "a mount's copy": refused("open_tree", -100, "b'.'", 1),
    "a watch on folders": refused("inotify_init1", 0),
    "old asynchronous I/O": refused("io_setup", 0, 0),
    "secret memory": refused("memfd_secret", 0),
}
FILES = {
    "out of the box by rename": Attempt(
        "import os\nopen('f', 'w').close()\nos.rename('f', @FOLDER@ + '/moved')\nprint(1)"
    ),
    "the secret by exchange": Attempt(
        f"{RAW}open('f', 'w').close()\n"
        "libc.renameat2.restype = ctypes.c_int\n"
        "print(1 if libc.renameat2(-100, b'f', -100, @SECRET@.encode(), 2) == 0 else 2)",
        (WA, RE),
    ),
    "the secret's times": Attempt("import os\nos.utime(@SECRET@, (1, 1))\nprint(1)"),
    "the secret by a path's parts": Attempt(
        "import os\nfd = os.open('/', os.O_PATH)\n"
        "os.open(@SECRET@.lstrip('/'), os.O_RDONLY, dir_fd=fd)\nprint(1)"
    ),
    "the secret by fd of a folder": Attempt(
        "import os\nfd = os.open(os.path.dirname(@SECRET@), os.O_PATH)\n"
        "print(os.read(os.open('secret', os.O_RDONLY, dir_fd=fd), 9) and 1)"
    ),
    "a folder left among the descriptors": Attempt(
        "import os\nfor fd in range(300):\n    try: os.fchdir(fd)\n    except OSError: continue\n"
        "    print(1)\n    break\nelse: raise ValueError"
    ),
    "its own input written": Attempt("import os\nos.write(0, b'2')\nprint(1)"),
    "its own input cut": Attempt("import os\nos.ftruncate(0, 0)\nprint(1)"),
    "its own input mapped for writing": Attempt("import mmap\nmmap.mmap(0, 0)[0] = 50\nprint(1)"),
}
# What the evaluator holds, from the program's own memory: pages are probed by write(2).
_SCAN = (
    "import os, re, ctypes\nr, w = os.pipe()\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "libc.write.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t\nfound = 0\n"
    "for base in {id(os) >> 21, id(object()) >> 21, id(r) >> 21, id(print) >> 21}:\n"
    "    for page in range((base << 21) - (1 << 23), (base << 21) + (1 << 24), 4096):\n"
    "        if libc.write(w, page, 1) != 1: continue\n        os.read(r, 1)\n"
    "        m = re.search(rb'ans[w]er-\\d{8}', ctypes.string_at(page, 4096))\n"
    "        if m: found = m[0].decode()\n"
)
VERDICTS = {
    "the evaluator's socket": Attempt(
        f"{_FRAMES}for f in found:\n    for v in list(f.f_locals.values()):\n"
        "        sock = getattr(v, 'sock', v)\n"
        "        if type(sock).__name__ == 'socket': sock.sendall(b'x' * 99); print(1)\n"
        "raise ValueError('nothing')"
    ),
    "the expected output in its memory": Attempt(
        f"{_SCAN}print(found)", (WA, TLE, RE), "stdin", "1\n", "answer-31415926\n"
    ),
    "the result's descriptor replaced": function(
        "import os\ndef solve(x):\n    r, w = os.pipe()\n    os.dup2(w, 3)\n    return 1", RE
    ),
    "the result's descriptor closed": function(
        "import os\ndef solve(x):\n    os.close(3)\n    return 1", RE
    ),
    "the exit code of want of memory": Attempt("print(1)\nraise SystemExit(111)", (RE, MLE)),
    "every descriptor closed": Attempt("import os\nos.closerange(0, 300)\nos._exit(0)", (WA, RE)),
    "an error that explains itself for ever": Attempt(
        "class E(Exception):\n    def __str__(s):\n        while 1: pass\nraise E", (TLE,)
    ),
    "an exit of megabytes": Attempt("raise SystemExit('x' * 10**7)"),
    "bytecode of its own": Attempt(
        "def f(): pass\nf.__code__ = f.__code__.replace(co_code=b'\\x64\\xff' * 9, co_consts=())\n"
        "f()\nprint(2)",
        (RE, WA, TLE, MLE),
    ),
    "imports without end in a text": Attempt("'''" + "import " * 150_000 + "'''\nprint(1)", (AC,)),
    "imports without end, commas": Attempt("'''" + "import a, " * 90_000 + "'''\nprint(1)", (AC,)),
    "a source of one long line": Attempt("#" * 3 * 10**6 + "\nprint(1)", (AC,)),
    "a source of many lines": Attempt("x = 1\n" * 40_000 + "print(1)", (AC, CE)),
}
ATTEMPTS = OUTLIVING | SIGNALS | LIMITS | PRIVILEGES | FILES | VERDICTS
