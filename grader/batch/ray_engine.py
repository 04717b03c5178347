"""Grading on a Ray cluster: one actor a slot, each with a workshop of its own on its node; Ray carries items there and answers back, nothing else.

An actor is what the grader's own process is on one machine: the trusted launcher. A student's code runs in the boxes that it starts, which reach no
network and so no port of Ray's. Every actor has one thread, on which its boxes are started: bubblewrap ends a box with the thread that started it,
so a killed actor takes its boxes along. Ray repeats nothing here; what is tried again, and where, the supervisor decides.

A node gets one slot first. When that one has opened and grades on the same images, rubric and grader as this machine, the node gets the rest.
"""

import contextlib
import itertools
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grader
from grader import dataset, pipeline, rubric
from grader.batch.engine import Done, attempt, default_jobs
from grader.batch.worker import Answer, Item, Workshop
from grader.closing import Closing
from grader.errors import GraderError, InfrastructureError, UsageError
from grader.machine import nvidia_smi
from grader.words import one_line

_LOOK_S = 1.0
"""How often the cluster is asked for nodes that came or went."""

_FRESH_S = 2.0
"""A slot that was heard of in these seconds gets an item unasked; one that idled longer is asked whether it lives."""

_ANSWER_S = 15.0
"""Patience with that answer; a millisecond on an idle cluster."""

_KNOCK_S = 10.0
"""Patience with a cluster's head that is connected to for the first time."""

_HEADLESS_S = 30.0
"""Patience with a head that answers no more. Ray's own is a minute, after which it ends the whole process out of order."""

_GATHER_S = 60.0
"""Patience at the beginning with the slots that are slower than the first; they join later all the same."""

_PATIENCE_S = 300.0
"""Patience with a cluster on which no slot is ready: all processors may be another's."""

_STARTS = 3
"""Tries to start a cluster of our own: Ray gives its helper processes 15 s, too few where two cores have six other jobs; the next try finds their files read."""

_TRIES = 2
"""Actors in a row that may die before they are ready; then their node gets no more."""

_CLOSE_S = 5.0
"""Patience with actors that put their things away, before they are killed."""

_OBJECTS_MIB = 256
"""Ray's shared memory where the cluster is our own: notebooks on their way, a few MiB each."""

_UNIT = 10_000
"""Ray counts fractions of a GPU in ten-thousandths."""


# ------------------------------------------------------------------ on the nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a slot grades with; `lacks` as in `Engine`."""

    version: str
    dataset: str
    rubric: str
    lacks: tuple[str, ...] = ()


class Slot:
    """The actor: a workshop with one box 1. Used by one thread, its process's main one; Ray runs the methods of such an actor there."""

    def __init__(self, options: pipeline.Options, name: str) -> None:
        """Nothing is started yet, so that `open` can tell what is missing."""
        self._options, self._name = options, name
        self._workshop: Workshop | None = None

    def open(self) -> Opened | str:
        """Start the workshop; a sentence where this node cannot have one."""
        try:
            lines = rubric.load(self._options.rubric)
            self._workshop = Workshop(self._options, boxes=1, name=self._name, threads=1)  # as many as Ray is told
        except (GraderError, OSError) as error:
            return str(error)
        return Opened(version=grader.__version__, dataset=self._workshop.dataset, rubric=lines.sha256, lacks=self._workshop.lacks)

    def grade(self, item: Item) -> tuple[Answer | None, str, tuple[str, ...]]:
        """(answer, lost, lacks), as `engine.attempt` has them. Never raises for what an item does."""
        assert self._workshop is not None
        done = attempt(self._workshop, item)
        return done.answer, done.lost, self._workshop.lacks

    def ping(self) -> int:
        """The actor's process, which shows that it lives."""
        return os.getpid()

    def close(self) -> None:
        """End the boxes."""
        if self._workshop is not None:
            self._workshop.close()


def card_mib() -> int:
    """The memory of this machine's smallest GPU, MiB; 0 where it is not told."""
    with contextlib.suppress(ValueError):
        return min((int(float(text)) for text in (nvidia_smi("memory.total", 60, "csv,noheader,nounits") or "").split()), default=0)
    return 0


def share_of(memory_mib: int | None, card: int) -> float:
    """The fraction of a card of `card` MiB that a slot asks Ray for, rounded up to what Ray counts in; a whole card where either is unknown."""
    if not memory_mib or not card:
        return 1.0
    return min(-(-memory_mib * _UNIT // card), _UNIT) / _UNIT


def room_of(cpus: int, gpus: int, share: float) -> int:
    """Slots of a node: one a processor, and not more than its cards hold. A slot never spans two cards."""
    return cpus if not share else min(cpus, gpus * int(_UNIT // round(share * _UNIT)))


# ------------------------------------------------------------------ on this machine


@dataclass(slots=True, kw_only=True, eq=False)
class _Node:
    """A node and what it may hold. `room`: its slots at most, None while its cards are being asked; `lack`: why there are not more of them."""

    id: str
    name: str
    cpus: int
    gpus: int
    share: float = 0.0
    room: int | None = None
    asked: Any = None
    fit: bool = False
    failed: int = 0
    lack: str = ""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))


@dataclass(slots=True, kw_only=True, eq=False)
class _Slot:
    """An actor. `waits`: Ray's promise of what it does now (None: nothing), which is opening until it is `ready`, then grading `item`."""

    node: _Node
    name: str
    actor: Any
    waits: Any
    ready: bool = False
    item: Item | None = None
    heard: float = 0.0


class Cluster(Closing):
    """Grades on the nodes of a Ray cluster; see `Engine`. Use as a context manager."""

    def __init__(self, options: pipeline.Options, *, jobs: int | None, address: str | None, gpu_memory_mib: int | None) -> None:
        """Connect and wait for the first slots.

        `address`: HOST:PORT or "auto"; None takes RAY_ADDRESS, and where that names nothing a cluster of its own on this machine. `jobs`: slots at
        most, None for all that the nodes have. `gpu_memory_mib`: what one slot takes of a GPU (declared, never enforced); None: a whole one.

        Raises UsageError where Ray is not installed, or for another kind of address; InfrastructureError where no cluster answers, or no node can grade.
        """
        self._ray = _ray()
        lines = rubric.load(options.rubric)
        data = dataset.ensure(options.store or dataset.default_store())
        self._expected = Opened(version=grader.__version__, dataset=f"{data.name}:{data.fingerprint[:16]}", rubric=lines.sha256)
        self.dataset = self._expected.dataset
        self._options = replace(  # a path means the same in every process, whatever folder it stands in
            options,
            rubric=options.rubric if options.rubric in rubric.names() else str(lines.path.absolute()),
            store=options.store and options.store.absolute(),
            cache=options.cache and options.cache.absolute(),
        )
        self._most, self._memory_mib = jobs, gpu_memory_mib
        self._nodes: dict[str, _Node] = {}
        self._slots: list[_Slot] = []
        self._homes: dict[str, str] = {}
        self._lacks: dict[str, None] = {}
        self._waiting: list[tuple[Item, str]] = []
        self._looked = 0.0
        self._alive = self._headed = time.monotonic()
        self._head, self._headless = "", False
        self._closed = False
        self._held = contextlib.ExitStack()
        self._held.enter_context(_replaced(self._ray._private.worker, "print_to_stdstream", lambda *_, **__: None))  # noqa: SLF001 (see _unchanged)
        try:
            self._connect(address or os.environ.get("RAY_ADDRESS") or "local")
            self._gather()
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:
        """How many items it works on at a time: slots come and go with the nodes."""
        return sum(slot.ready for slot in self._slots)

    @property
    def at_work(self) -> tuple[int, int]:
        """See `Engine`: which of them train, the nodes do not tell."""
        return sum(slot.ready and slot.waits is not None for slot in self._slots), 0

    @property
    def lacks(self) -> Sequence[str]:
        """See `Engine`: nodes that do not take part, or with fewer slots than they have processors, and what the workshops lack."""
        return (*(f"{node.name}: {node.lack}" for node in self._nodes.values() if node.lack), *self._lacks)

    def submit(self, item: Item, *, avoid: str = "") -> None:
        """See `Engine`. Items wait here while all slots are taken."""
        self._waiting.append((item, avoid))
        self._feed()

    def done(self, wait_s: float) -> Sequence[Done]:
        """See `Engine`."""
        until = time.monotonic() + wait_s
        while True:
            found = self._step(max(until - time.monotonic(), 0.0))
            if found or time.monotonic() >= until:
                return found

    def close(self) -> None:
        """See `Engine`. A cluster of its own ends; another one goes on without these actors."""
        if self._closed:
            return
        self._closed = True
        slots, self._slots = self._slots, []
        if self._head and not _answers(self._head):
            slots = []  # asking it to end an actor would not return; the nodes end with their actors, a minute after their head
        with contextlib.suppress(self._ray.exceptions.RayError):
            idle = [slot.actor.close.remote() for slot in slots if slot.ready and slot.waits is None]
            if idle:
                self._ray.wait(idle, num_returns=len(idle), timeout=_CLOSE_S)
        for slot in slots:
            self._kill(slot)
        self._ray.shutdown()
        self._held.close()

    # -------------------------------------------------------------- the connection

    def _connect(self, address: str) -> None:
        if address not in ("local", "auto"):
            _knock(address)
        own: dict[str, Any] = {}
        if address == "local":
            own = {"num_cpus": self._most or default_jobs(), "object_store_memory": _OBJECTS_MIB << 20, "include_dashboard": False}
        for left in reversed(range(_STARTS if own else 1)):
            try:
                with _unchanged(self._ray):
                    self._ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
            except Exception as error:  # (Ray raises plain ones, too)
                self._ray.shutdown()
                if not left:
                    said = one_line(str(error), 300)
                    raise InfrastructureError(
                        f"--engine ray: the cluster ({address}) could not be used ({type(error).__name__}: {said}). `ray status` on this machine "
                        "tells whether one runs; `ray start --address HOST:PORT` makes this machine one of its nodes."
                    ) from error
            else:
                self._head = self._ray.get_runtime_context().gcs_address
                return

    def _gather(self) -> None:
        """Wait for the first slots; for the slower ones a while."""
        first = None
        while first is None or (
            time.monotonic() < first + _GATHER_S
            and (any(not slot.ready for slot in self._slots) or any(node.room is None for node in self._nodes.values()))
        ):
            self._step(_LOOK_S)
            if first is None and self.slots:
                first = time.monotonic()

    # -------------------------------------------------------------- one step

    def _step(self, wait_s: float) -> list[Done]:
        """Look at the nodes, feed the slots, wait for the first promise, take what was kept."""
        self._look()
        self._feed()
        nodes = {node.asked: node for node in self._nodes.values() if node.asked is not None}
        slots = {slot.waits: slot for slot in self._slots if slot.waits is not None}
        promises = [*nodes, *slots]
        if not promises:
            time.sleep(min(wait_s, _LOOK_S))
            return []
        self._ray.wait(promises, num_returns=1, timeout=min(wait_s, _LOOK_S))
        ready, _ = self._ray.wait(promises, num_returns=len(promises), timeout=0)
        found = []
        for promise in ready:
            if promise in nodes:
                self._measured(nodes[promise])
            elif (done := self._taken(slots[promise])) is not None:
                found.append(done)
        if ready:
            self._fill()
            self._feed()
        return found

    def _look(self) -> None:
        """Which nodes there are. Raises InfrastructureError where nothing can be graded, now or soon."""
        now = time.monotonic()
        if now < self._looked + _LOOK_S:
            return
        self._looked = now
        self._headless = not self._has_head(now)
        if self._headless:
            return
        try:
            told = {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}
        except self._ray.exceptions.RayError as error:
            raise InfrastructureError(f"The Ray cluster does not answer ({type(error).__name__}). Run the same command again.") from error
        for gone in self._nodes.keys() - told.keys():
            del self._nodes[gone]
            for slot in [slot for slot in self._slots if slot.node.id == gone and slot.waits is None]:
                self._slots.remove(slot)  # of one at work, Ray breaks the promise
        gpus = any(node["Resources"].get("GPU") for node in told.values())
        for new in told.keys() - self._nodes.keys():
            self._nodes[new] = self._met(told[new], gpus=self._options.device == "gpu" or (self._options.device == "auto" and gpus))
        self._fill()
        if self.slots:
            self._alive = now
        elif not self._slots and not any(node.asked for node in self._nodes.values()):
            said = " ".join(self.lacks) or "It has no node with a processor."
            raise InfrastructureError(f"No node of the Ray cluster can grade. {said}")
        elif now > self._alive + _PATIENCE_S:
            raise InfrastructureError(
                f"No worker started on the Ray cluster in {_PATIENCE_S:g} s. `ray status` shows what uses its processors; run the same command again."
            )

    def _has_head(self, now: float) -> bool:
        """Whether the head answers: without it nothing is learned of nodes, though slots at work go on. Raises InfrastructureError where it stays away."""
        if _answers(self._head):
            self._headed = now
            return True
        if now > self._headed + _HEADLESS_S:
            raise InfrastructureError(
                f"The Ray cluster's head ({self._head}) has not answered for {_HEADLESS_S:g} s. What was graded by then is recorded. "
                "Start the cluster again and run the same command, or run it without --engine ray: it resumes there."
            )
        return False

    def _met(self, told: Mapping[str, Any], *, gpus: bool) -> _Node:
        """A node that was not there before."""
        there = told["Resources"]
        node = _Node(
            id=told["NodeID"],
            name=f"{told['NodeManagerHostname']}-{told['NodeID'][:6]}",
            cpus=int(there.get("CPU", 0)),
            gpus=int(there.get("GPU", 0)),
        )
        if gpus and node.gpus:
            node.share = 1.0
            if self._memory_mib is not None:
                where = self._placed(node)
                node.asked = self._ray.remote(card_mib).options(num_cpus=0, max_retries=0, scheduling_strategy=where).remote()
                return node
        node.room = room_of(node.cpus, node.gpus, node.share)
        if self._options.device == "gpu" and not node.gpus and node.cpus:
            node.room, node.lack = 0, "It has no GPU, which --device gpu asks for, and is not used."
        return node

    def _measured(self, node: _Node) -> None:
        """Its cards' memory is known now, or will not be."""
        card, promise, node.asked = 0, node.asked, None
        with contextlib.suppress(self._ray.exceptions.RayError):
            card = self._ray.get(promise)
        if not card:
            node.lack = "nvidia-smi does not report the memory of its GPUs, so every worker takes a whole GPU."
        node.share = share_of(self._memory_mib, card)
        node.room = room_of(node.cpus, node.gpus, node.share)

    # -------------------------------------------------------------- slots

    def _fill(self) -> None:
        """Start what slots are missing, on the emptiest nodes first; a node that no slot has opened on gets one."""
        if self._headless:
            return
        while self._most is None or len(self._slots) < self._most:
            taken = {id_: sum(slot.node.id == id_ for slot in self._slots) for id_ in self._nodes}
            roomy = [node for node in self._nodes.values() if taken[node.id] < min(node.room or 0, node.cpus if node.fit else 1)]
            if not roomy:
                return
            self._slots.append(self._started(min(roomy, key=lambda node: taken[node.id])))

    def _started(self, node: _Node) -> _Slot:
        name = f"{node.name}-{next(node.numbers)}"
        self._homes[name] = node.id
        options = self._options
        if options.device == "auto" and not node.share:
            options = replace(options, device="cpu")  # a GPU that Ray did not lend is not ours
        actor = (
            self._ray.remote(Slot)
            .options(num_cpus=1, num_gpus=node.share, max_restarts=0, max_task_retries=0, scheduling_strategy=self._placed(node))
            .remote(options, name)
        )
        return _Slot(node=node, name=name, actor=actor, waits=actor.open.remote())

    def _placed(self, node: _Node) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415 (an extra)

        return NodeAffinitySchedulingStrategy(node.id, soft=False)

    def _taken(self, slot: _Slot) -> Done | None:
        """What the slot's promise came to: an answer, or a word on how the slot opened, which is nobody's answer."""
        promise, slot.waits = slot.waits, None
        item, slot.item = slot.item, None
        try:
            said = self._ray.get(promise)
        except self._ray.exceptions.RayError as error:
            self._drop(slot)
            reason = f"{type(error).__name__}: {one_line(str(error), 300)}"
            if not slot.ready:
                slot.node.failed += 1
                if slot.node.failed >= _TRIES:
                    self._limit(slot.node, f"Workers die while they start ({reason})")
            return None if item is None else Done(item=item, lost=reason, worker=slot.name)
        slot.heard = time.monotonic()
        if item is None:
            self._opened(slot, said)
            return None
        answer, lost, lacks = said
        self._lacks.update(dict.fromkeys(lacks))
        return Done(item=item, answer=answer, lost=lost, worker=slot.name)

    def _opened(self, slot: _Slot, said: Opened | str) -> None:
        unfit = said if isinstance(said, str) else differs(said, self._expected)
        if unfit:
            self._drop(slot)
            self._limit(slot.node, unfit)
            return
        assert isinstance(said, Opened)
        slot.ready, slot.node.fit, slot.node.failed = True, True, 0
        self._lacks.update(dict.fromkeys(said.lacks))

    def _limit(self, node: _Node, reason: str) -> None:
        """No more slots for this node than it has."""
        node.room, node.lack = sum(slot.node is node and slot.ready for slot in self._slots), reason

    def _drop(self, slot: _Slot) -> None:
        with contextlib.suppress(ValueError):
            self._slots.remove(slot)
        if not self._headless:
            self._kill(slot)

    def _kill(self, slot: _Slot) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError, RuntimeError, ValueError):
            self._ray.kill(slot.actor, no_restart=True)

    # -------------------------------------------------------------- items

    def _feed(self) -> None:
        """Give waiting items, oldest first, to free slots."""
        free = [slot for slot in self._slots if slot.ready and slot.waits is None]
        left: list[tuple[Item, str]] = []
        for item, avoid in self._waiting:
            while (slot := self._chosen(free, avoid)) is not None:
                free.remove(slot)
                if self._lives(slot):
                    slot.item, slot.waits = item, slot.actor.grade.remote(item)
                    break
                self._drop(slot)
            else:
                left.append((item, avoid))
        self._waiting = left

    def _chosen(self, free: Sequence[_Slot], avoid: str) -> _Slot | None:
        """A free slot for an item that `avoid` lost: on another node, which is waited for, where there is one; else another worker; else the same."""
        home = self._homes.get(avoid)
        if home is not None and any(slot.ready and slot.node.id != home for slot in self._slots):
            free = [slot for slot in free if slot.node.id != home]
        return min(free, key=lambda slot: slot.name == avoid, default=None)

    def _lives(self, slot: _Slot) -> bool:
        """Whether a slot that idled is still there: an item that was not begun is not lost."""
        if time.monotonic() < slot.heard + _FRESH_S:
            return True
        try:
            self._ray.get(slot.actor.ping.remote(), timeout=_ANSWER_S)
        except self._ray.exceptions.RayError:
            return False
        slot.heard = time.monotonic()
        return True


def differs(found: Opened, expected: Opened) -> str:
    """Why a node may not grade along: marks from different graders, rubrics or images do not mix. Empty where it may."""
    if found.version != expected.version:
        return f"It has grader {found.version}, this machine {expected.version}, and is not used. Install the same version there."
    if found.rubric != expected.rubric:
        return "Its rubric file differs from this machine's, and it is not used. Copy the file there."
    if found.dataset != expected.dataset:
        return (
            f"It has the images {found.dataset}, this machine {expected.dataset}, and is not used. "
            "Give it the same store (`grade data import` there, or GRADER_DATA on a shared disk)."
        )
    return ""


def _knock(address: str) -> None:
    """See whether anybody answers: Ray itself would ask for minutes. Raises UsageError where it is no HOST:PORT, InfrastructureError."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise UsageError(f"--address {address}: expected HOST:PORT of the cluster's head, or auto. Run this on a machine of the cluster.")
    try:
        _reach(address)
    except (OSError, OverflowError) as error:
        raise InfrastructureError(
            f"--address {address}: nothing answers there ({error}). Start the cluster (`ray start --head`), or name its head; "
            "without --address and RAY_ADDRESS this machine grades alone."
        ) from error


def _reach(address: str) -> None:
    """Open a connection to HOST:PORT and close it. Raises OSError, OverflowError for a port that cannot be."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


def _answers(address: str) -> bool:
    """Whether anybody listens at HOST:PORT."""
    try:
        _reach(address)
    except OSError:
        return False
    return True


def _ray() -> Any:
    """The module. Raises UsageError where it is not installed."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise UsageError(
            f"--engine ray: Ray is not installed on this machine ({error}). Run `pip install 'grader[ray]'` here and on every node, "
            "or leave --engine away to grade on this machine alone."
        ) from None
    return ray


@contextlib.contextmanager
def _replaced(module: Any, name: str, ours: Any) -> Iterator[None]:
    """Put something of ours in a module's place for a while."""
    theirs = getattr(module, name)
    setattr(module, name, ours)
    try:
        yield
    finally:
        setattr(module, name, theirs)


@contextlib.contextmanager
def _unchanged(ray: Any) -> Iterator[None]:
    """Connect without what Ray does besides, and has no settings for; tests hold each of them.

    It replaces the handler of SIGTERM, which here ends a run in order. It gives every worker the current folder as the first place to import from,
    where hand-ins may lie: a file of a student's would be run as ours. It tells the cluster this process's command line, which may name a student
    or hold a password. (And as long as it is connected it prints what befalls the nodes between the lines of ours, on standard output.)
    """
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with _replaced(ray._private.utils, "get_entrypoint_name", lambda: "grade batch"), contextlib.chdir(Path("/")):  # noqa: SLF001
            yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
