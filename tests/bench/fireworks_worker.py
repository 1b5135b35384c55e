"""One rocket launcher of FireWorks without a rocket: checks a firework out and completes it, over and over.

Runs in an environment of its own: python fireworks_worker.py URL DATABASE (fill NUMBER | work SECONDS). To work, it
says that it is ready, waits for a line, and prints how many it has done, in which time, and its CPU, in seconds.
"""

import sys
import tempfile
import time

from fireworks import Firework, FWAction, FWorker, LaunchPad, Workflow
from fireworks.user_objects.firetasks.script_task import ScriptTask

url, database, verb, number = sys.argv[1:]
host, _, options = url.rpartition('/?')
whole = f'{host}/{database}?{options}&w=majority&journal=true'
pad = LaunchPad(host=whole, name=database, uri_mode=True, strm_lvl='ERROR')

if verb == 'fill':
    pad.reset('', require_password=False, max_reset_wo_password=10**9)
    made = [Workflow.from_firework(Firework(ScriptTask.from_str('true'))) for _ in range(int(number))]
    pad.bulk_add_wfs(made)
else:
    worker, done = FWorker(), 0
    # The first connection is made here, and not while it is measured.
    pad.fireworks.find_one({})
    with tempfile.TemporaryDirectory() as folder:
        print('ready', flush=True)
        sys.stdin.readline()
        began, used = time.monotonic(), time.process_time()
        while time.monotonic() < began + float(number):
            firework, launch_id = pad.checkout_fw(worker, folder)
            if firework is None:
                break
            pad.complete_launch(launch_id, FWAction(), 'COMPLETED')
            done += 1
        print(done, time.monotonic() - began, time.process_time() - used)
