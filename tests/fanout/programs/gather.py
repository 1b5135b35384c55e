"""Asks nodes several things and prints what comes of it, as ClusterShell's users do."""

from ClusterShell.NodeSet import NodeSet, expand, fold
from ClusterShell.Task import Task, TimeoutError, task_self, task_terminate, task_wait
from ClusterShell.Worker.Exec import ExecWorker
from ClusterShell.Worker.Popen import WorkerPopen
from ClusterShell.Worker.Worker import WorkerError


def show(title, results):
    print(title)
    for line in sorted(map(str, results)):
        print('   ', line)


task = task_self()
assert task is task_self()
task.set_info('fanout', 8)
task.set_info('my_own', [1])
print(task.info('fanout'), task.info('my_own'), task.info('nothing', 'default'), task.info('connect_timeout'))

# Local commands, with keys.
first = task.shell('echo one; echo two', key='k1')
second = task.shell('printf three; exit 4', key='k1')
third = task.shell('echo three >&2; kill -TERM $$', key=('k', 2), stderr=True)
task.shell('cat', key='cat', stdin=False)
silent = task.shell('true')
task.resume()
print(sorted(task.key_buffer('k1')), task.key_retcode('k1'), task.max_retcode(), repr(task.key_buffer('unknown')))
print([task.key_error(('k', 2)), first.read(), second.read(), silent.read(), third.error(), silent.retcode()])
show('codes', ((rc, sorted(map(str, keys))) for rc, keys in task.iter_retcodes() if silent not in keys))
show('some codes', task.iter_retcodes(match_keys=['k1']))
try:
    task.key_retcode('unknown')
except KeyError as error:
    print('KeyError', error.args)

# One command for each node.
worker = task.shell('echo %h %n; [ %n -lt 3 ]', nodes='n[1-5]', remote=False, timeout=20)
task.resume()
for buffer, nodes in sorted(task.iter_buffers(), key=lambda each: each[0].message()):
    print(NodeSet.fromlist(nodes), buffer.message().decode(), list(buffer), len(buffer), buffer == buffer)
show('by worker', ((rc, str(nodes)) for rc, nodes in worker.iter_retcodes()))
show('of some', ((bytes(buffer), str(nodes)) for buffer, nodes in worker.iter_buffers(['n2', 'n9'])))
show('each', ((node, buffer.message()) for node, buffer in worker.iter_node_buffers()))
show('each code', worker.iter_node_retcodes())
print([worker.node_buffer('n1')], worker.node_retcode('n4'), worker.did_timeout(), worker.num_timeout(), worker.nodes)
print(list(worker.iter_buffers([])), sorted(len(nodes) for _, nodes in task.iter_buffers([])))
try:
    list(task.iter_buffers('n1'))
except TypeError:
    print('TypeError')
task.shell('echo %hosts %%', nodes='n[1-3]', remote=False)
task.resume()
show('all at once', ((buffer.message(), str(NodeSet.fromlist(nodes))) for buffer, nodes in task.iter_buffers()))

# Same outputs together, also CRLF, and the last line without an end.
for key, text in (('crlf', r'a\r\nb\r\n'), ('lf', r'a\nb\n'), ('none', r'a\nb'), ('more', r'a\nb\n\n'), ('empty', '')):
    task.shell(f"printf '{text}'", key=key)
task.resume()
show('together', ((buffer.message(), sorted(keys)) for buffer, keys in task.iter_buffers()))

# Time-outs.
timed = task.shell('[ %n = 1 ] && sleep 30; echo quick', nodes='n[1-3]', remote=False, timeout=0.5)
task.resume()
print(task.num_timeout(), list(task.iter_keys_timeout()), timed.did_timeout(), list(timed.iter_keys_timeout()))
show('codes', ((rc, sorted(keys)) for rc, keys in task.iter_retcodes()))
try:
    task.shell('sleep 30', key='long')
    task.resume(0.3)
except TimeoutError:
    print('TimeoutError', task.num_timeout(), list(task.iter_keys_timeout()), task.max_retcode())

# Written to, by hand, and twice.
copied = WorkerPopen('cat; exit 3', key='w')
copied.write(b'written ')
copied.write(b'before\n')
copied.set_write_eof()
task.schedule(copied)
by_hand = ExecWorker('m[1-2]', handler=None, timeout=10, command='echo hand')
task.schedule(by_hand)
try:
    task.schedule(copied)
except WorkerError:
    print('WorkerError')
try:
    WorkerPopen('true').read()
except WorkerError:
    print('WorkerError')
task.run()
print([copied.read(), copied.retcode(), by_hand.node_buffer('m2')])

# `run`, aborting, and a new task.
print([task.run('echo run', key='r').read()], task.max_retcode())
task.abort()
print(task.max_retcode(), list(task.iter_buffers()))
task_terminate()
assert task_self() is not task
try:
    task.shell('true')
except AssertionError:
    print('AssertionError')

# Another thread.
other = Task()
worker = other.shell('sleep 0.3; echo other', key='o')
other.resume()
task_wait()
print([other.key_buffer('o')], other.max_retcode(), other.running())
other.abort(kill=True)
other.thread.join()
print(sorted(expand('n[1-3]')), fold('n1,n2,n3'), str(NodeSet('n[1-5]') - NodeSet('n3')), len(NodeSet('a,b')))
