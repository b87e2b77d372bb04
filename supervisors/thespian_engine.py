"""What Krator changes in Thespian 4.0.1: the files ``thespian_*`` alone reach into its insides.

Thespian listens on all interfaces, forgets dead children, dies with its logger, logs over its own
transport and detaches its admin. Here it listens on 127.0.0.1, its admin is a child that dies with
its starter, and every process that it forks is cleaned first. Each private interface used has a
test that fails loudly when a new version changes it.
"""

from __future__ import annotations

import gc
import logging
import math
import multiprocessing
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.process import BaseProcess
from types import SimpleNamespace
from typing import Any

from supervisors import launch, output, process
from supervisors.redaction import RedactingFormatter
from supervisors.status import NotRunningError


@contextmanager
def _without_name_server() -> Iterator[None]:
    """Thespian looks the host's own names up when imported, which can take half a minute."""
    real = socket.getfqdn, socket.gethostname
    socket.getfqdn = lambda name="": name or "localhost"
    socket.gethostname = lambda: "localhost"
    try:
        yield
    finally:
        socket.getfqdn, socket.gethostname = real


with _without_name_server():
    from thespian.actors import ActorAddress
    from thespian.system import multiprocCommon, systemBase, utilis
    from thespian.system.admin.adminCore import AdminCore
    from thespian.system.messages.admin import PendingActor, QueryAck, QueryExists
    from thespian.system.multiprocTCPBase import ActorSystemBase
    from thespian.system.timing import ExpirationTimer, ExpirationTimerView
    from thespian.system.transport import IPBase, ReceiveEnvelope
    from thespian.system.transport.TCPTransport import TCPTransport

    from supervisors import thespian_frames

LOOPBACK = "127.0.0.1"
_ROOT_CLASS = "supervisors.supervisor.SupervisorActor"
_FILES_TO_CLOSE = 12  # position among the arguments of multiprocCommon.startChild
_ADMIN_START = timedelta(seconds=5)

_real_start_admin = multiprocCommon.startAdmin
_real_start_child = multiprocCommon.startChild
_real_start_logger = multiprocCommon.startupASLogger
_real_address_init = IPBase.IPActorAddress.__init__
_root_logger = logging.root
_logger_tree = logging.Logger.manager


def install() -> None:
    """Apply all changes to Thespian in this process and in all that it forks. Idempotent."""
    thespian_frames.install()
    utilis.thesplog_control(logging.CRITICAL + 1, False, 0)
    IPBase.IPActorAddress.__init__ = _init_loopback_address
    # Spelled logdefs where it is set and logDefs where a new logger needs it: the admin died.
    AdminCore.logDefs = property(lambda admin: admin.logdefs)
    # Filters the list of children by who is alive and forgets to tell of the others.
    multiprocCommon.MultiProcReplicator._childExited = lambda _self, _address: None  # noqa: SLF001
    multiprocCommon.MultiProcManager = _Manager
    multiprocCommon.ThespianLogForwarder = lambda *_args, **_options: _root_logger
    # Sets TZ to a path, which programs that actors execute need not understand.
    systemBase.ensure_TZ_set = lambda: None
    # A timer that is due in less than half a microsecond counted as none: its loop slept for ever.
    ExpirationTimerView.remaining = _remaining
    multiprocCommon.startChild = _run_actor
    multiprocCommon.startupASLogger = _run_logger


class System(ActorSystemBase):  # type: ignore[misc] # Thespian has no types
    """Thespian's view from outside, for the process that starts it. Not thread-safe."""

    admin: BaseProcess | None = None
    """The admin's process once it was forked."""

    def __init__(self, port: int) -> None:
        self._unanswered_pings = 0
        super().__init__(SimpleNamespace(capabilities={"Admin Port": port}), {"version": 1})

    def _startAdmin(  # noqa: N802 - Thespian's name
        self, address: Any, starter: Any, capabilities: dict[str, Any], log_defs: dict[str, Any]
    ) -> None:
        endpoint = self.transport.prepEndpoint(address, capabilities)
        arguments = (
            multiprocCommon.MultiProcAdmin,
            starter,
            endpoint,
            type(self.transport),
            address,
            capabilities,
            log_defs,
            self.mpcontext,
        )
        self.admin = self.mpcontext.Process(target=_run_admin, args=arguments, name="admin")
        self.admin.start()
        multiprocCommon.detach_child(self.admin)
        self.transport.connectEndpoint(endpoint)
        self.transport.run(None, _ADMIN_START)

    def request_root(self) -> None:
        """Have the admin fork the root supervisor, which will speak up on its control channel."""
        self._tx_to_admin(PendingActor(_ROOT_CLASS, None, 1, None, globalName=None))
        self.transport.run(multiprocCommon.TransmitOnly, timedelta(seconds=2))

    def ping(self) -> int:
        """Ask the admin for a sign of life; return how many are unanswered by now."""
        self._tx_to_admin(QueryExists())
        self._unanswered_pings += 1
        self.listen_briefly()
        return self._unanswered_pings

    def listen_briefly(self) -> None:
        """Let the transport work for a few milliseconds, and note the admin's answers."""
        while True:
            envelope = self.transport.run(None, timedelta(milliseconds=2))
            if not isinstance(envelope, ReceiveEnvelope):
                return
            if isinstance(envelope.message, QueryAck):
                self._unanswered_pings = 0

    def close(self) -> None:
        """Give up the transport's sockets."""
        self.transport.close()


class Visitor(System):
    """As System, for a process that speaks to a running one: it never starts an admin.

    Raises NotRunningError when there is none.
    """

    def _startAdmin(self, address: Any, *_rest: Any) -> None:  # noqa: N802 - Thespian's name
        raise NotRunningError(f"nobody listens on port {address.addressDetails.sockname[1]}")

    def ask_port(self, port: int, message: Any, timeout_secs: float) -> Any:
        """Return the first answer of the actor at that port; None when there is none in time."""
        address: ActorAddress = TCPTransport.getAddressFromString((LOOPBACK, port))
        return self.ask(address, message, timedelta(seconds=timeout_secs))


def free_port() -> int:
    """Return a port that was free a moment ago: somebody else may take it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """True when an admin could listen there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def fork_actor(actor: Any, class_path: str, cargo: launch.Launch) -> BaseProcess:
    """Fork a child of this Thespian actor that finds ``cargo`` in ``launch.loaded()``.

    Raises OSError when the fork failed: Thespian would only log it.
    """
    manager = actor._myRef  # noqa: SLF001 - Thespian tells nobody else of its children's processes
    before = len(getattr(manager, "_child_procs", []))
    pipes = process.open_pipes()
    own = launch.loaded()
    launch.load(cargo)
    try:
        actor.createActor(class_path)
    finally:
        launch.load(own)
    children = getattr(manager, "_child_procs", [])
    if len(children) == before:
        for fd in process.open_pipes() - pipes:
            os.close(fd)  # multiprocessing forgets those of a fork that failed
        raise OSError("the process could not be forked")
    child: BaseProcess = children[-1].childProc
    return child


def listening_port(actor: Any) -> int:
    """Return the port on which this Thespian actor receives messages."""
    return int(actor.myAddress.addressDetails.sockname[1])


class _Manager(multiprocCommon.MultiProcManager):  # type: ignore[misc] # Thespian has no types
    """Thespian's loop around one actor, which asks it what to watch before any message came."""

    def _createInstance(self) -> None:  # noqa: N802 - Thespian's name
        _own_logging()
        super()._createInstance()
        if self.actorInst is None:
            os._exit(os.EX_SOFTWARE)
        # A timer set before the loop runs for the first time would miss this attribute.
        self.transport.run_time = ExpirationTimer(None)
        self.transport.set_watch(self.actorInst.begin(self.signalChildDied))


def _remaining(timer: Any, forever: timedelta | None = None) -> timedelta | None:
    """Return how long the timer still runs, rounded up, because Thespian leaves a zero out."""
    secs = timer.remainingSeconds()
    return forever if secs is None else timedelta(microseconds=math.ceil(secs * 1e6))


def _run_admin(*arguments: Any) -> None:
    settings = launch.loaded().settings
    _clean_process("admin", keep={launch.loaded().channel.fd, settings.output_fd})
    output.redirect_output(settings.output_fd)
    process.forbid_core_files()
    os.environ[launch.RUNTIME_VARIABLE] = str(settings.runtime)
    _own_logging()
    # What was imported is never freed; a collection in a child would copy all its pages.
    gc.collect()
    gc.freeze()
    _skip_next_fork()
    # Thespian makes a session, and with it a process group, of the whole tree: a Ctrl-C at the
    # terminal is for the heart alone, and the heart knows what died of the tree by its group.
    _real_start_admin(*arguments)
    os._exit(0)


def _run_logger(*arguments: Any) -> None:
    _clean_process("logger", keep=())
    _real_start_logger(*arguments)
    os._exit(0)


def _run_actor(*arguments: Any) -> None:
    own = launch.loaded()
    # As in the admin: what the supervisor has imported since is not looked through again.
    gc.freeze()
    _clean_process(own.spec.name, keep={own.channel.fd}, close=own.private_fds)
    # Their numbers hold /dev/null now; closed, they would be taken by what we open next.
    kept = (*arguments[:_FILES_TO_CLOSE], [], *arguments[_FILES_TO_CLOSE + 1 :])
    _real_start_child(*kept)
    os._exit(0)


def _clean_process(name: str, *, keep: Any, close: Any = ()) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    assert parent.pid is not None
    process.die_with_parent(parent.pid)
    process.default_signals()
    process.name_process(name)
    process.drop_descriptors({launch.loaded().settings.marker_fd, *keep}, close=close)


def _skip_next_fork() -> None:
    """Make Thespian's daemonizing fork do nothing: the admin stays its starter's own child.

    Only so does the kernel end it with its starter, and its exit status is known.
    """
    real_fork = os.fork

    def stay() -> int:
        os.fork = real_fork
        return 0

    os.fork = stay


def _own_logging() -> None:
    """Undo what Thespian does to ``logging``: nothing is logged over its transport."""
    logging.root = logging.Logger.root = _root_logger  # as Thespian does
    logging.Logger.manager = _logger_tree
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter())
    _root_logger.handlers = [handler]
    _root_logger.setLevel(logging.WARNING)


def _init_loopback_address(
    address: Any,
    family: int,
    kind: int,
    protocol: int,
    host: str | None,
    port: int,
    external: Any = False,  # noqa: FBT002 - Thespian's signature
) -> None:
    local = host if host not in {None, "", "0.0.0.0"} else LOOPBACK  # noqa: S104 - it is refused
    _real_address_init(address, family, kind, protocol, local, port, external)
    address.bindname = (LOOPBACK, address.sockname[1])
