"""All handlers of the dialect, by their routes."""

from iceprod_tasks.dialects.drove import cluster, events, executors, logs, operations, tasks

ROUTES = (*operations.ROUTES, *tasks.ROUTES, *logs.ROUTES, *executors.ROUTES, *cluster.ROUTES, *events.ROUTES)
