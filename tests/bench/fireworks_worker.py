"""One rocket launcher of FireWorks without a rocket: checks a firework out and completes it, over and over.

Runs in an environment of its own: python fireworks_worker.py URL DATABASE (fill NUMBER | work SECONDS)
"""

import resource
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
    end = time.monotonic() + float(number)
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            firework, launch_id = pad.checkout_fw(worker, folder)
            if firework is None:
                break
            pad.complete_launch(launch_id, FWAction(), 'COMPLETED')
            done += 1
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(done, used.ru_utime + used.ru_stime)
