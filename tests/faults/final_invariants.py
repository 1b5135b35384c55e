"""What must be true once all faults are over and all have had time. Each yields pairs of a task id and words."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from tests.faults.final import Document, Final, Submission
from tests.faults.history import History

Found = Iterator[tuple[str, str]]

PRIMES = '78498'


def nothing_is_processing(history: History, final: Final) -> Found:
    """No task is in the hands of anybody."""
    for task in final.tasks:
        if task['status'] == 'processing':
            yield task['task_id'], f'it is in the hands of claim {task.get("claim_id")}, epoch {task.get("epoch")}'


def counts_are_right(history: History, final: Final) -> Found:
    """What the services count is what is there."""
    tasks, jobs = _by_dataset(final.tasks), _by_dataset(final.jobs)
    counted = [each for said in (final.task_counts, *final.counts_of_each) for each in said.items()]
    for dataset_id, counts in counted:
        found = _statuses(final.tasks if dataset_id == '' else tasks[dataset_id])
        if _without_zeros(counts) != found:
            yield '', f'tasks of dataset {dataset_id or "all"}: counted {counts}, there are {found}'
    for dataset_id, counts in final.job_counts.items():
        if _without_zeros(counts) != (found := _statuses(jobs[dataset_id])):
            yield '', f'jobs of dataset {dataset_id}: counted {counts}, there are {found}'


def all_is_done(history: History, final: Final) -> Found:
    """A submission is one dataset, at most one without an answer; all of it is there once, and complete."""
    for task in final.tasks:
        if task['status'] not in ('complete', 'processing'):
            yield task['task_id'], f'it is {task["status"]}'
    tasks, jobs = _by_dataset(final.tasks), _by_dataset(final.jobs)
    for submission in final.submissions:
        for words in _undone(submission, final, tasks, jobs):
            yield '', f'dataset {submission.dataset_id} ({submission.description}): {words}'


def ends_are_orderly(history: History, final: Final) -> Found:
    """What is told to end does, with exit code 0, and leaves nothing behind."""
    for code in final.exit_codes:
        if code:
            yield '', f'a pilot or a service has ended with {code}'
    if final.strays:
        yield '', f'{final.strays} processes outlived their pilot and its leases'


def the_example_is_right(history: History, final: Final) -> Found:
    """The example of the quickstart sums to the number of primes below one million."""
    if final.primes not in ('', PRIMES):
        yield '', f'it sums to {final.primes}'


def _undone(
    submission: Submission, final: Final, tasks: dict[str, list[Document]], jobs: dict[str, list[Document]]
) -> Iterator[str]:
    found = [dataset for dataset in final.datasets if dataset['description'] == submission.description]
    if len(found) > 1:
        yield f'there are {len(found)} of it'
    if submission.dataset_id and [dataset['dataset_id'] for dataset in found] != [submission.dataset_id]:
        yield 'it was acknowledged and is not there'
    for dataset in found:
        dataset_id = dataset['dataset_id']
        places = Counter((task['job_index'], task['task_index']) for task in tasks[dataset_id])
        if len(places) != submission.jobs * submission.tasks_per_job or set(places.values()) != {1}:
            yield f'{sum(places.values())} tasks in {len(places)} places, not {submission.jobs} times ' + str(
                submission.tasks_per_job
            )
        if dataset['status'] != 'complete':
            yield f'it is {dataset["status"]}'
        if _statuses(jobs[dataset_id]) != {'complete': submission.jobs}:
            yield f'its jobs are {_statuses(jobs[dataset_id])}'


def _by_dataset(documents: Iterable[Document]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        found[document['dataset_id']].append(document)
    return found


def _statuses(documents: Iterable[Document]) -> dict[str, int]:
    return dict(Counter(document['status'] for document in documents))


def _without_zeros(counts: dict[str, int]) -> dict[str, int]:
    return {status: count for status, count in counts.items() if count}
