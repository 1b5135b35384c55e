"""Prints events as they come, in each of the cases that a handler may meet."""

from ClusterShell.Event import EventHandler
from ClusterShell.Task import TimeoutError, task_self


class Journal(EventHandler):
    def __init__(self, title):
        print(title)

    def ev_start(self, worker):
        print('  start')

    def ev_pickup(self, worker, node):
        print('  pickup', node)

    def ev_read(self, worker, node, sname, msg):
        print('  read', node, sname, msg, worker.current_msg if sname == 'stdout' else worker.current_errmsg)

    def ev_written(self, worker, node, sname, size):
        print('  written', node, sname, size)

    def ev_hup(self, worker, node, rc):
        print('  hup', node, rc, worker.current_rc)

    def ev_close(self, worker, timedout):
        print('  close', timedout)

    def ev_timer(self, timer):
        print('  timer', timer.is_valid())


task = task_self()
task.set_info('fanout', 1)

task.shell('echo %h; echo end', nodes='a', remote=False, handler=Journal('one node'))
task.resume()

task.shell('printf "a\\r\\n\\nb"; exit 3', key='k', handler=Journal('one command'))
task.resume()

task.shell('echo err >&2; sleep 0.1; echo out', key='k', stderr=True, handler=Journal('two streams'))
task.resume()

task.shell('kill -INT $$', key='k', handler=Journal('a signal'))
task.resume()

task.shell('echo begun; exec sleep 30', nodes='a', remote=False, timeout=0.5, handler=Journal('time is over'))
task.resume()

task.shell('echo begun; exec sleep 30', key='k', timeout=0.5, handler=Journal('time is over, one command'))
task.resume()


class Ends(EventHandler):
    def ev_hup(self, worker, node, rc):
        print('  hup', node, rc)

    def ev_close(self, worker, timedout):
        print('  close', timedout)


print('time of one is over')
task.shell('[ %h = a ] && exec sleep 30; true', nodes='a,b', remote=False, timeout=0.5, handler=Ends())
task.resume()

task.shell('exec sleep 30', nodes='a', remote=False, handler=Journal('time of all is over'))
try:
    task.resume(0.5)
except TimeoutError:
    print('  TimeoutError')


class Aborts(Journal):
    def ev_read(self, worker, node, sname, msg):
        print('  read', node, msg)
        worker.abort()


task.shell('echo begun; exec sleep 30', nodes='a', remote=False, handler=Aborts('the worker is aborted'))
task.resume()
print(task.max_retcode(), task.num_timeout())


class AbortsAll(Journal):
    def ev_read(self, worker, node, sname, msg):
        print('  read', node, msg)
        task.abort()
        print('  never')


task.shell('echo begun; exec sleep 30', nodes='a', remote=False, handler=AbortsAll('the task is aborted'))
task.resume()
print(task.max_retcode(), list(task.iter_buffers()))


class Writes(Journal):
    def ev_pickup(self, worker, node):
        print('  pickup', node)
        worker.write(b'hello\n')
        worker.set_write_eof()


task.shell('cat', nodes='a', remote=False, handler=Writes('written to'))
task.resume()


class Goes(Journal):
    left = 2

    def ev_close(self, worker, timedout):
        print('  close')
        Goes.left -= 1
        if Goes.left:
            task.shell('echo again', key='k', handler=self)


task.shell('echo first', key='k', handler=Goes('one after the other'))
task.resume()

print('timers')
task.timer(0.1, handler=Journal('  once'))
task.resume()


class Thrice(Journal):
    left = 3

    def ev_timer(self, timer):
        Thrice.left -= 1
        print('  timer', Thrice.left)
        if not Thrice.left:
            timer.invalidate()


task.timer(0.05, handler=Thrice('  thrice'), interval=0.05)
task.resume()
task.shell('exec sleep 30', key='b', autoclose=True)
task.timer(30, handler=Journal('  never'), autoclose=True)
task.set_info('fanout', 2)
task.shell('sleep 0.2; echo front', key='f', handler=Journal('in front'))
task.resume()
print(task.max_retcode())
