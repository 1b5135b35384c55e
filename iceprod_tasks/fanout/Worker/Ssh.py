"""Commands on nodes, by the system's own ssh and scp."""

from iceprod_tasks.fanout.remote import Ssh
from iceprod_tasks.fanout.Worker.Exec import ExecWorker


class WorkerSsh(ExecWorker):
    """Runs a command on nodes by ssh, or copies a file to them, or from them, by scp.

    The arguments are those of `ExecWorker`. The command goes to the login shell of the node as it is. What the task
    says by `info` is looked at when a node has its turn: `ssh_path`, `ssh_user`, `ssh_options`, `scp_path`, `scp_user`,
    `scp_options`, `connect_timeout`, and `ssh_guard`, which is on: it ends commands there when they are ended here.
    """

    _in_session = False

    def _run(self, command: str, node: str, rank: int) -> list[str]:  # noqa: ARG002 - nodes have no place there
        terms = self._terms()
        return self._ssh.command(node, command, terms.timeout_seconds, terms.grace_seconds)

    def _copy(self, node: str, rank: int) -> list[str]:  # noqa: ARG002
        return self._ssh.copy(node, self.source or '', self.dest or '', preserve=self._preserve, reverse=self._reverse)

    @property
    def _ssh(self) -> Ssh:
        info = self._scheduled().info
        return Ssh(
            ssh=info('ssh_path') or 'ssh', scp=info('scp_path') or 'scp', options=info('ssh_options') or '',
            scp_options=info('scp_options') or '', user=info('ssh_user'), scp_user=info('scp_user'),
            connect_timeout_seconds=info('connect_timeout') or 0, guarded=bool(info('ssh_guard', def_val=True)),
        )  # fmt: skip


WORKER_CLASS = WorkerSsh
