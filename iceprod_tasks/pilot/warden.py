"""The process between a pilot and a command: it ends all that the command started, whatever becomes of the pilot.

A program of its own, one for each attempt: `python -I -S warden.py`. Every task waits for it to start, so it imports
little. It is the command's parent, and a process below that loses its own parent becomes its child, so that nobody gets
away. It kills them all as soon as the lease is over or the pilot is gone, and leaves when none is left.

Its standard input is a socket to the pilot. Both sides send messages:

    from the pilot  ('run', argv, environment, deadline, group), then any of ('until', deadline) and
                    ('end', grace_seconds)
    to the pilot    ('starting',), then ('failed', errno, why) or ('ended', exit_code, cause, cpu_seconds, peak_bytes)

A deadline is a time of `clock`. An exit code is 128 + its number for a signal. The cause of an end is `itself`, `order`
or `lease`. The group is the file by which the command joins a group of cgroup v2, or empty.
"""

import ctypes
import marshal
import os
import resource
import select
import signal
import time

SIZE_BYTES = 4
NEVER = float('inf')
KILLED = 128 + int(signal.SIGKILL)

# The one that goes on while the machine is suspended: so does the service's.
_CLOCK = getattr(time, 'CLOCK_BOOTTIME', time.CLOCK_MONOTONIC)
# A wait does not notice that the machine was suspended, so no wait is long.
_LONGEST_WAIT_SECONDS = 1.0
_FIRST_STRIKE_SECONDS = 0.01

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None, use_errno=True).prctl

_PILOT = 0
# A batch system signals every process of its job. What comes of that is for the pilot to say.
_LEFT_TO_THE_PILOT = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU,
)  # fmt: skip
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def clock() -> float:
    """Seconds on the clock by which leases are kept, the same in every process of this machine."""
    return time.clock_gettime(_CLOCK)


def packed(*message: str | float | bytes | list[bytes] | dict[bytes, bytes]) -> bytes:
    """A message as it goes over the socket: its size, then itself. Both sides run the same Python."""
    content = marshal.dumps(message)
    return len(content).to_bytes(SIZE_BYTES, 'big') + content


def children_of_all() -> dict[int, list[int]]:
    """The children of every process of the machine."""
    children: dict[int, list[int]] = {}
    # Without pathlib, which takes long to import.
    for name in filter(str.isdigit, os.listdir('/proc')):  # noqa: PTH208
        try:
            with open(f'/proc/{name}/stat', 'rb') as file:  # noqa: PTH123
                # The program's name stands in brackets and may hold anything.
                parent = int(file.read().rpartition(b')')[2].split()[1])
        except OSError:  # it has ended
            continue
        children.setdefault(parent, []).append(int(name))
    return children


def below(root: int, children: dict[int, list[int]]) -> list[int]:
    """All descendants of a process, parents before their children."""
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found[1:]


class Warden:
    """Runs one command, and ends it with everything that it started."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._deadline = NEVER
        self._kill_at = NEVER
        self._leader = 0
        self._exit_code: int | None = None
        self._cause = 'itself'
        self._woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._poll = select.poll()
        self._poll.register(_PILOT, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)

    def work(self) -> None:
        """Wait for the order to run a command, and return when nothing of it is left."""
        while not self._leader:
            self._wait(_LONGEST_WAIT_SECONDS)
            if self._over():  # the pilot has gone, or the order came too late
                break
        strike_seconds = _FIRST_STRIKE_SECONDS
        while self._reap():
            if self._exit_code is not None or self._over() or clock() >= self._kill_at:
                self._signal_all(signal.SIGKILL)
                self._wait(strike_seconds)
                strike_seconds = min(2 * strike_seconds, _LONGEST_WAIT_SECONDS)
            else:
                self._wait(min(self._deadline, self._kill_at) - clock())
        self._say_how_it_ended()

    def _wait(self, seconds: float) -> None:
        """Until the pilot says something, a child ends, or some seconds have passed."""
        for ready, _ in self._poll.poll(1000 * max(0.0, min(seconds, _LONGEST_WAIT_SECONDS))):
            if ready == _PILOT:
                self._listen()
            else:
                os.read(self._woken, 4096)

    def _listen(self) -> None:
        try:
            data = os.read(_PILOT, 2**16)
        except ConnectionResetError:
            data = b''
        if not data:
            self._poll.unregister(_PILOT)
            self._deadline = 0.0
        self._received += data
        while (end := SIZE_BYTES + int.from_bytes(self._received[:SIZE_BYTES], 'big')) <= len(self._received):
            order, *given = marshal.loads(self._received[SIZE_BYTES:end])  # noqa: S302 - from whoever started us
            del self._received[:end]
            if order == 'run':
                self._run(*given)
            elif order == 'until':
                self._until(*given)
            else:
                self._end(*given)

    def _run(self, argv: list[bytes], environment: dict[bytes, bytes], deadline: float, group: bytes) -> None:
        self._until(deadline)
        _say('starting')
        if not self._over():
            self._leader = _start(argv, environment, group)

    def _until(self, deadline: float) -> None:
        self._deadline = deadline

    def _end(self, grace_seconds: float) -> None:
        self._reap()
        if self._exit_code is None:
            self._cause = 'order'
        if grace_seconds:
            self._signal_all(signal.SIGTERM)
        self._kill_at = min(self._kill_at, clock() + grace_seconds)

    def _over(self) -> bool:
        over = clock() >= self._deadline
        if over and self._exit_code is None:
            self._cause = 'lease'
        return over

    def _reap(self) -> bool:
        """Take in who has ended; whether somebody is left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self._leader:
                    code = os.waitstatus_to_exitcode(status)
                    self._exit_code = 128 - code if code < 0 else code
        except ChildProcessError:
            return False

    def _signal_all(self, number: int) -> None:
        # No stranger is hit. Our children keep their numbers until we reap them. Those further down were seen a moment
        # ago, and the kernel gives a number out again only after all the others.
        for pid in below(os.getpid(), children_of_all()):
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue

    def _say_how_it_ended(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Between fork and exec a child wears the warden's own memory, and the kernel's peak remembers it.
        own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak_bytes = 1024 * usage.ru_maxrss if usage.ru_maxrss > own_peak else 0
        exit_code = KILLED if self._exit_code is None else self._exit_code
        _say('ended', exit_code, self._cause, usage.ru_utime + usage.ru_stime, peak_bytes)


def _start(argv: list[bytes], environment: dict[bytes, bytes], group: bytes) -> int:
    """Start the command in a session of its own; the kernel kills it if the warden is killed."""
    failed, failing = os.pipe()
    warden = os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            _become(argv, environment, group, warden, failing)
    except OSError as error:
        _give_up(error.errno, error.strerror)
    os.close(failing)
    if trouble := os.read(failed, 2**16):  # nothing when exec has closed it
        os.waitpid(pid, 0)
        _give_up(*marshal.loads(trouble))  # noqa: S302 - from ourselves
    os.close(failed)
    return pid


def _become(argv: list[bytes], environment: dict[bytes, bytes], group: bytes, warden: int, failing: int) -> None:
    """In the child: turn into the command, or say why not."""
    try:
        os.setsid()
        if group:
            _join(group)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != warden:  # it went before we could ask
            os._exit(KILLED)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number in (*_LEFT_TO_THE_PILOT, *_IGNORED_BY_PYTHON):
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - the task says whether it wants a shell
    except OSError as error:
        os.write(failing, marshal.dumps((error.errno, error.strerror)))
    except ValueError as error:
        os.write(failing, marshal.dumps((0, str(error))))
    finally:
        os._exit(KILLED)


def _join(group: bytes) -> None:
    """Go into a group, and all that is started from now on with it; one that is gone keeps nobody from working."""
    try:
        file = os.open(group, os.O_WRONLY)
        os.write(file, b'0')
        os.close(file)
    except OSError:
        return


def _give_up(errno: int | None, why: str | None) -> None:
    _say('failed', errno or 0, why or '')
    os._exit(0)


def _say(*message: str | float) -> None:
    try:
        os.write(_PILOT, packed(*message))
    except OSError:  # the pilot is gone
        return


def main() -> None:
    """Be the warden of one command."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in _LEFT_TO_THE_PILOT:
        signal.signal(number, signal.SIG_IGN)
    Warden().work()
    os._exit(0)  # there is nothing to tidy up


if __name__ == '__main__':
    main()
