"""Attempts on a Ray cluster: one detached actor per piece of an attempt, found again by its name.

Actors know nothing of the job store, which lies on this machine: what they tell lies in the attempt's temporary folder,
on a disk that all machines share, and is brought into the store here. An actor that dies with its machine costs the
piece it held; a supervisor that dies costs nothing, for the next one finds the actors by their names.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from kencore.errors import ClusterError, JobCancelled, MissingExtraError, SpecError
from kencore.jobs import folders
from kencore.jobs.context import Context
from kencore.jobs.diary import tell
from kencore.jobs.kinds import find_kind
from kencore.jobs.store import changes, queries
from kencore.jobs.store.database import connected
from kencore.jobs.worker import processes
from kencore.jobs.worker.carrier import Carrier
from kencore.jobs.worker.crew import Crew, Part
from kencore.jobs.worker.interpreter import environment
from kencore.jobs.worker.launch import Attempt
from kencore.system.places import home
from kencore.system.plain_json import parse_json

LEAST_VERSION: Final = (2, 52)  # of Ray: token authentication
KILLED: Final = -9
REACH_SECONDS: Final = 5.0

Name = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """An actor, and Ray's promise of its exit code."""

    actor: Any
    ref: Any


@dataclass(kw_only=True)
class Group:
    """A running attempt, with all its pieces."""

    name: Name
    kind: str
    gpus: float
    crew: Crew

    @property
    def handle(self) -> str:
        """What the actors' names begin with."""
        return handle_of(self.name)


def handle_of(name: Name) -> str:
    """The handle of an attempt."""
    return f"{name[0]}.{name[1]}"


class RayLauncher:
    """Starts attempts on a cluster; see `kencore.jobs.worker.launch.Launcher` for the methods.

    Args:
        address: of the cluster: ``auto``, or host and port of its head.
        cpus: processors that each piece of a job gets.

    Attributes:
        gpus: CUDA cards of the cluster.

    Raises:
        MissingExtraError: Ray is not installed, or too old.
        SpecError: the cluster would take work of anybody: no token.
        ClusterError: no cluster answers there.
    """

    def __init__(self, address: str, *, cpus: float = 1.0) -> None:
        self._ray = load_ray()
        self._each = cpus
        self._groups: dict[Name, Group] = {}
        space = "kenviz-" + hashlib.sha256(str(home()).encode()).hexdigest()[:12]
        try:
            _reach(address)
            self._ray.init(
                address=address, namespace=space, log_to_driver=False, configure_logging=False, ignore_reinit_error=True
            )
        except Exception as error:
            said = (str(error).strip().splitlines() or [repr(error)])[0]
            raise ClusterError(
                f"KENVIZ_RAY_ADDRESS {address}",
                got=f"no cluster that answers ({said})",
                wanted="the address of a Ray cluster, and its token",
                remedy="Start one (`ray start --head`), or unset KENVIZ_RAY_ADDRESS: jobs then run on this machine.",
            ) from error
        resources = self._ray.cluster_resources()
        self.cpus, self.gpus = float(resources.get("CPU", 0.0)), float(resources.get("GPU", 0.0))
        self._carrier = self._ray.remote(Carrier)
        self._stack = ExitStack()
        self._store = self._stack.enter_context(connected(make=True))
        self._adopt()

    # --- the protocol ---------------------------------------------------------------------------

    def start(self, attempt: Attempt) -> None:
        row = queries.find(self._store, attempt.job)
        name = (attempt.job, attempt.number)
        part = folders.part_folder(attempt.job, row["kind"], attempt.number)
        folders.make_part(part)
        most = int(self.gpus // attempt.gpus) if attempt.gpus else int(self.cpus // self._each)
        shares = find_kind(row["kind"]).split(parse_json(row["params"]), max(1, most), row["folder"])
        crew = Crew.begin(part, dict(row), shares, self._context(name, row["kind"]))
        group = Group(name=name, kind=row["kind"], gpus=attempt.gpus, crew=crew)
        if changes.attach(self._store, *name, group.handle) is None:
            return  # it was cancelled meanwhile
        self._groups[name] = group
        self._begin_some(group)

    def exits(self) -> dict[Name, int | None]:
        ended = {id(ref) for ref in self._ended(0)}
        found: dict[Name, int | None] = {}
        for group in list(self._groups.values()):
            parts = group.crew.parts
            gone = [part for part in parts if part.carrier is not None and id(part.carrier.ref) in ended]
            self._hear(group)
            code = self._settled(group, gone)
            if code is not None:
                self._drop(group)
                found[group.name] = code
        return found

    def watches(self, job: str, number: int) -> bool:
        return (job, number) in self._groups

    def is_alive(self, handle: str) -> bool:
        if ":" in handle:
            return processes.is_alive(handle)  # begun on this machine, before there was a cluster
        return any(handle == group.handle for group in self._groups.values()) or bool(self._actors(handle))

    def end(self, handle: str, *, kill: bool) -> None:
        if ":" in handle:
            processes.end(handle, kill=kill)
            return
        for group in list(self._groups.values()):
            if group.handle == handle and not kill:
                for part in group.crew.parts:
                    if part.carrier is not None:
                        part.carrier.actor.stop.remote()
        if kill:
            self._kill(self._actors(handle))

    def wait(self, seconds: float) -> None:
        began = time.monotonic()
        if not self._ended(seconds):
            time.sleep(max(0.0, seconds - (time.monotonic() - began)))

    def close(self) -> None:
        self._stack.close()
        self._ray.shutdown()

    # --- actors ---------------------------------------------------------------------------------

    def _context(self, name: Name, kind: str) -> Context:
        out = folders.part_folder(name[0], kind, name[1]) / "out"
        shared = folders.shared_folder(name[0], kind)
        return Context(self._store, *name, out=out, threads=max(1, int(self._each)), shared=shared)

    def _begin_some(self, group: Group) -> None:
        """Begin the pieces that nothing carries and that may begin."""
        for part in group.crew.ready():
            self._begin(group, part)

    def _begin(self, group: Group, part: Part) -> None:
        piece = part.piece
        folders.remove(piece.out)
        given = environment()
        known = {name: given[name] for name in given if name.startswith(("KENVIZ_", "PYTHONPATH", "OMP_"))}
        known.pop("KENVIZ_RAY_ADDRESS", None)
        actor = self._carrier.options(
            name=f"{group.handle}/{piece.number}/{piece.tried}",
            lifetime="detached",
            num_cpus=self._each,
            num_gpus=group.gpus,
            max_restarts=0,
            max_concurrency=4,
            runtime_env={"env_vars": known},
        ).remote(group.name[0], (str(piece.folder), piece.number, piece.tried), group.crew.context.threads)
        part.carrier = Carried(actor=actor, ref=actor.ended.remote())

    def _ended(self, seconds: float) -> list[Any]:
        """Promises of pieces that have ended."""
        parts = [part for group in self._groups.values() for part in group.crew.parts]
        refs = [part.carrier.ref for part in parts if part.carrier is not None]
        if not refs:
            return []
        ready, _ = self._ray.wait(refs, num_returns=len(refs) if not seconds else 1, timeout=seconds)
        return list(ready)

    def _code(self, part: Part) -> int | None:
        """Exit code of a piece that has ended; ``None`` where its actor died."""
        try:
            return int(self._ray.get(part.carrier.ref))
        except self._ray.exceptions.RayError:
            return None
        finally:
            part.carrier = None

    def _actors(self, handle: str = "") -> list[str]:
        """Names of living actors of this store, of one attempt or of all."""
        before = f"{handle}/" if handle else ""
        return [name for name in self._ray.util.list_named_actors() if name and name.startswith(before)]

    def _kill(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(ValueError, self._ray.exceptions.RayError):  # it is gone
                self._ray.kill(self._ray.get_actor(name), no_restart=True)

    def _drop(self, group: Group) -> None:
        """Let go of an attempt, and of the processors and cards that its actors hold."""
        self._groups.pop(group.name, None)
        self._kill(self._actors(group.handle))

    def _adopt(self) -> None:
        """Go on with what a former supervisor began; end actors that the store does not know."""
        for row in queries.running(self._store):
            name = row["id"], row["attempt"]
            if row["handle"] == handle_of(name):
                with suppress(OSError, ValueError, KeyError, TypeError):  # then the scheduler finds it lost
                    self._groups[name] = self._found(row, name)
        known = {group.handle for group in self._groups.values()}
        unknown = [name for name in self._actors() if name.split("/")[0] not in known]
        if unknown:
            tell(f"ended {len(unknown)} actors that the store does not know")
            self._kill(unknown)
        for group in self._groups.values():
            self._hear(group)
            for part in group.crew.ready():
                if part.piece.told.exists():  # its machine died while nobody looked
                    part.try_again()
            self._begin_some(group)

    def _found(self, row: Any, name: Name) -> Group:
        """The pieces of an attempt that a former supervisor began, and the actors that live."""
        crew = Crew.found(folders.part_folder(name[0], row["kind"], name[1]), self._context(name, row["kind"]))
        group = Group(name=name, kind=row["kind"], gpus=float(row["gpus"]), crew=crew)
        for one in self._actors(group.handle):
            _, number, tried = one.split("/")
            part = crew.parts[int(number)]
            if int(tried) < part.piece.tried:
                continue  # it was thought lost
            part.piece = part.piece._replace(tried=int(tried))
            actor = self._ray.get_actor(one)
            part.carrier = Carried(actor=actor, ref=actor.ended.remote())
        return group

    # --- what they tell -------------------------------------------------------------------------

    def _hear(self, group: Group) -> None:
        with suppress(JobCancelled):  # the scheduler ends it
            group.crew.hear()

    def _settled(self, group: Group, gone: list[Part]) -> int | None:
        """The exit code of an attempt that is over; ``None`` while it goes on."""
        for part in gone:
            code = self._code(part)
            self._hear(group)
            if part.end is None and not self._again(group, part):
                return KILLED if code is None or code == 0 else code
            if part.end is not None:  # a piece that waits can have its processor
                self._kill(self._actors(f"{group.handle}/{part.piece.number}"))
        end = group.crew.over()
        if end is None:
            self._begin_some(group)
            return None
        group.crew.context.flush()
        if end[0] == "succeeded" and changes.runs_still(self._store, *group.name):
            group.crew.gather()
            folders.publish(group.crew.folder, folders.result_folder(group.name[0], group.kind))
        changes.settle(self._store, *group.name, end[0], end[1])
        return 0

    def _again(self, group: Group, part: Part) -> bool:
        """Whether a piece whose actor died begins once more; of a job in one piece the scheduler decides."""
        cancelled = queries.find(self._store, group.name[0])["cancel_asked"] is not None
        return not cancelled and group.crew.again(part)


def load_ray(environment: Mapping[str, str] = os.environ) -> Any:
    """The module ``ray``.

    Raises:
        MissingExtraError: it is not installed, or too old.
        SpecError: no token is asked for.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        there = version("ray")
    except PackageNotFoundError as error:
        raise _missing("Ray is not installed") from error
    if tuple(int(number) for number in there.split(".")[:2]) < LEAST_VERSION:
        raise _missing(f"Ray {there}")
    if environment.get("RAY_AUTH_MODE") != "token":
        raise SpecError(
            "RAY_AUTH_MODE",
            got=repr(environment.get("RAY_AUTH_MODE", "")),
            wanted="token: otherwise whoever reaches the cluster's ports can run anything on it",
            remedy="Set RAY_AUTH_MODE=token on all machines (`ray get-auth-token --generate` makes a token).",
        )
    import ray  # not before: it reads the mode as it is imported

    return ray


def _reach(address: str) -> None:
    """Raise OSError unless something listens at host and port: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()


def _missing(got: str) -> MissingExtraError:
    return MissingExtraError(
        "KENVIZ_RAY_ADDRESS",
        got=got,
        wanted=f"Ray {'.'.join(map(str, LEAST_VERSION))} or newer",
        remedy="Install it with `pip install -e '.[cluster]'`, or unset KENVIZ_RAY_ADDRESS.",
    )
