"""The language of Vappio, whose `vp-describe-task` asks `/vappio/task_ws.py`."""
