"""One process of pilots for the benchmark of claims: each claims and completes over and over on its own connection.

Reads what to do from the command line as JSON, and prints what came of it as JSON. It waits for all sockets at once and
speaks HTTP by hand, without asyncio: a pair costs it a tenth of what it costs the service.
"""

import dataclasses
import json
import os
import re
import secrets
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Generator
from typing import Any

import orjson

Answer = tuple[int, bytes]
Talk = Generator[bytes, Answer, None]

_LENGTH = re.compile(rb'\r\ncontent-length: *(\d+)', re.IGNORECASE)
_TASK = re.compile(rb'"task_id": ?"(\w+)"')
_INSTANCE = re.compile(rb'"instance_id": ?"(\w+)"')
_SILENT_SECONDS = 120.0


@dataclasses.dataclass
class Pairs:
    """What one process does.

    Args:
        port: of the service.
        token: sent with each request.
        pilots: how many of them there are.
        seconds: how long they go on, once they are warm.
        dialect: `ours`, or `iceprod` for IceProd 3, where a pilot takes a waiting task by the action queue.
        offer: what each pilot has.
        batch: tasks a claim and a report; 0 for one at a time.
        claims_only: whether what was claimed is left as it is.
        at_most: claims after which it ends.
        warm_seconds: what is done in the beginning does not count.
        niceness: how much it yields to others. What waits are measured by should not wait itself.
    """

    port: int
    token: str
    pilots: int
    seconds: float
    dialect: str = 'ours'
    offer: dict[str, Any] = dataclasses.field(default_factory=lambda: {'cpu': 1, 'memory': 4})
    batch: int = 0
    claims_only: bool = False
    at_most: int = 10**9
    warm_seconds: float = 1.0
    niceness: int = 15


class Fleet:
    """All pilots of one process."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self._begin = time.monotonic() + pairs.warm_seconds
        self._end = self._begin + pairs.seconds
        self._head = (
            f' HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {pairs.token}\r\n'
            'Content-Type: application/json\r\nContent-Length: '
        ).encode()
        self._offer = b'{"requirements":' + orjson.dumps(pairs.offer)
        self._claimed = 0
        self._ids: set[bytes] = set()
        self.done = 0
        self.ever_done = 0
        self.waits: list[tuple[float, float]] = []
        self.odd: Counter[str] = Counter()

    def fly(self) -> dict[str, Any]:
        """Let them work until time is over or nothing is left."""
        talk = self._batches if self._pairs.batch else self._pilot
        began = time.monotonic()
        serve([Line(self._pairs.port, talk()) for _ in range(self._pairs.pilots)])
        took = min(time.monotonic(), self._end) - max(began, self._begin)
        used = time.process_time()
        return {
            'done': self.done, 'ever_done': self.ever_done, 'claims': self._claimed, 'seconds': took, 'cpu': used,
            'waits': self.waits, 'odd': dict(self.odd),
        }  # fmt: skip

    @property
    def _goes_on(self) -> bool:
        return time.monotonic() < self._end and self._claimed < self._pairs.at_most

    def _count(self, number: int) -> None:
        self.ever_done += number
        self.done += number * (self._begin <= time.monotonic() < self._end)

    def _post(self, path: bytes, body: bytes) -> bytes:
        return b'POST ' + path + self._head + str(len(body)).encode() + b'\r\n\r\n' + body

    def _claim(self, more: bytes) -> Generator[bytes, Answer, Answer]:
        path = b'/task_actions/queue' if self._pairs.dialect == 'iceprod' else b'/task_actions/process'
        began = time.monotonic()
        answer = yield self._post(path, self._offer + more + b'}')
        if began >= self._begin:
            self.waits.append((began, time.monotonic() - began))
        return answer

    def _pilot(self) -> Talk:
        iceprod = self._pairs.dialect == 'iceprod'
        while self._goes_on:
            self._claimed += 1
            mine = b'"claim_id":"' + secrets.token_hex(16).encode() + b'"'
            status, answer = yield from self._claim(b'' if iceprod else b',' + mine)
            if status != 200:
                self._claimed -= 1
                self.odd[f'claim {status}'] += 1
                return
            task_id = self._taken(_found(_TASK, answer))
            if self._pairs.claims_only:
                self._count(1)
                continue
            body = b'{"instance_id":"' + _found(_INSTANCE, answer) + b'"}' if iceprod else b'{' + mine + b'}'
            status, _ = yield self._post(b'/tasks/' + task_id + b'/task_actions/complete', body)
            self._count(status == 200)
            if status != 200:
                self.odd[f'report {status}'] += 1

    def _batches(self) -> Talk:
        while self._goes_on:
            mine = secrets.token_hex(16).encode()
            more = b',"claim_id":"%b","num_tasks":%d' % (mine, self._pairs.batch)
            status, answer = yield from self._claim(more)
            if status != 200:
                self.odd[f'claim {status}'] += 1
                return
            tasks = orjson.loads(answer)['tasks']
            self._claimed += len(tasks)
            for task in tasks:
                self._taken(task['task_id'].encode())
            reports = [{'task_id': t['task_id'], 'claim_id': t['claim_id'], 'action': 'complete'} for t in tasks]
            status, answer = yield self._post(b'/task_actions/report', orjson.dumps({'reports': reports}))
            codes = Counter(result['code'] for result in orjson.loads(answer)['results'])
            self._count(codes.pop(200, 0))
            self.odd.update({f'report {code}': count for code, count in codes.items()})

    def _taken(self, task_id: bytes) -> bytes:
        self.odd.update(['given out twice'] * (task_id in self._ids))
        self._ids.add(task_id)
        return task_id


class Line:
    """A connection and what is said on it."""

    def __init__(self, port: int, talk: Talk) -> None:
        self.socket = socket.create_connection(('127.0.0.1', port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._talk = talk
        self._heard = bytearray()

    def begin(self) -> bool:
        """Send the first request; False when there is none."""
        request = next(self._talk, None)
        if request is not None:
            self.socket.sendall(request)
        return request is not None

    def go_on(self) -> bool:
        """Read what has come, and answer it once it is whole; False at the end."""
        some = self.socket.recv(1 << 20)
        if not some:
            raise ConnectionError('the service has closed a connection')
        self._heard += some
        if (answer := _whole(self._heard)) is None:
            return True
        self._heard.clear()
        try:
            self.socket.sendall(self._talk.send(answer))
        except StopIteration:
            return False
        return True


def serve(lines: list[Line]) -> None:
    """Let all talk until none has anything to say."""
    with selectors.DefaultSelector() as selector:
        for line in lines:
            if line.begin():
                selector.register(line.socket, selectors.EVENT_READ, line)
        while selector.get_map():
            ready = selector.select(_SILENT_SECONDS)
            if not ready:
                raise TimeoutError(f'no answer for {_SILENT_SECONDS:g} s')
            for key, _ in ready:
                if not key.data.go_on():
                    selector.unregister(key.fileobj)
                    key.data.socket.close()


def _whole(heard: bytearray) -> Answer | None:
    """The answer, if all of it has come."""
    end = heard.find(b'\r\n\r\n')
    if end < 0:
        return None
    length = _LENGTH.search(heard, 0, end)
    if length is None:
        raise ConnectionError(f'an answer without a length: {bytes(heard[:end])!r}')
    if len(heard) < end + 4 + int(length[1]):
        return None
    return int(heard[9:12]), bytes(heard[end + 4 :])


def _found(pattern: re.Pattern[bytes], answer: bytes) -> bytes:
    match = pattern.search(answer)
    assert match is not None, answer
    return match[1]


if __name__ == '__main__':
    asked = Pairs(**json.loads(sys.argv[1]))
    os.nice(asked.niceness)
    print(json.dumps(Fleet(asked).fly()))
