"""Tasks and time, decided by nothing but the order of events: the same seed, the same story."""

import contextlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import greenlet


class Endless(AssertionError):
    """Something goes on for ever."""


@dataclass(eq=False)
class Process:
    """A process on some machine: a roller, a host, or nature. Its tasks die with it."""

    name: str
    alive: bool = True
    paused_until: float = 0.0
    tasks: "list[Task]" = field(default_factory=list)


@dataclass(eq=False)
class Task:
    process: Process
    thread: greenlet.greenlet
    done: bool = False
    result: Any = None
    error: BaseException | None = None
    waiters: "list[tuple[Task, int]]" = field(default_factory=list)
    token: int = 0  # grows with each time it wakes: what would wake it for an older reason is late


class Scheduler:
    """Runs tasks in the order of their time; between two switches everything is at once."""

    def __init__(self, limit: float) -> None:
        self.now = 1000.0
        self.limit = limit
        self.heap: list[tuple[float, int, Task, int]] = []
        self.number = 0
        self.current: Task | None = None
        self.hub = greenlet.getcurrent()
        self.until: Callable[[], bool] = lambda: False

    def spawn(self, process: Process, action: Callable[[], Any]) -> Task:
        """Begin a task; it runs when its creator lets go."""

        def body() -> None:
            try:
                task.result = action()
            except greenlet.GreenletExit:
                pass
            except BaseException as error:  # noqa: BLE001 - whoever waits for the task raises it
                task.error = error
            task.done = True
            with contextlib.suppress(ValueError):
                process.tasks.remove(task)
            self._wake(task)

        task = Task(process, greenlet.greenlet(body, parent=self.hub))
        if not process.alive:
            task.done = True
            return task
        process.tasks.append(task)
        self._at(self.now, task)
        return task

    def sleep(self, seconds: float) -> None:
        """Let time pass for the task that runs now."""
        task = self._mine()
        when = self.now + seconds
        if self._is_next(task, when):
            self.now = when
            task.token += 1
            return
        self._at(when, task)
        self._switch(task)

    def wait(self, tasks: Sequence[Task]) -> None:
        """Wait until all of these have ended."""
        mine = self._mine()
        for task in tasks:
            while not task.done:
                task.waiters.append((mine, mine.token))
                self._switch(mine)

    def wait_until(self, task: Task, deadline: float) -> bool:
        """Wait until a task has ended, but no longer than that; whether it has."""
        mine = self._mine()
        if not task.done:
            task.waiters.append((mine, mine.token))
            self._at(deadline, mine)
            self._switch(mine)
        return task.done

    def kill(self, process: Process) -> None:
        """End a process as SIGKILL or a power cut does: at once, with no last word."""
        process.alive = False
        for task in list(process.tasks):
            if task is self.current:
                continue
            if not task.done:
                task.done = True
                task.thread.parent = greenlet.getcurrent()
                running, self.current = self.current, task
                task.thread.throw(greenlet.GreenletExit)
                self.current = running
                self._wake(task)
        process.tasks.clear()
        if self.current is not None and self.current.process is process:
            raise greenlet.GreenletExit

    def run(self, until: Callable[[], bool]) -> None:
        """Run tasks until something is so; time stands still where nothing is to be done."""
        self.until = until
        while not until():
            if not self.heap:
                raise Endless("nothing is left to be done, and it is not done")
            at, number, task, token = heapq.heappop(self.heap)
            if task.done or token != task.token or not task.process.alive:
                continue
            if task.process.paused_until > at:
                heapq.heappush(self.heap, (task.process.paused_until, number, task, token))
                continue
            self.now = max(self.now, at)
            if self.now > self.limit:
                raise Endless(f"after {self.limit:g} s it still goes on")
            self.current = task
            task.token += 1
            task.thread.switch()
            self.current = None

    def _is_next(self, task: Task, when: float) -> bool:
        """Whether nothing else happens before: then there is no need to go round by the hub."""
        others = self.heap[0][0] if self.heap else self.limit
        return when < min(others, self.limit) and not (
            task.process.paused_until > when or self.until()
        )

    def _mine(self) -> Task:
        task = self.current
        assert task is not None, "only a task can wait"
        if not task.process.alive or task.done:
            raise greenlet.GreenletExit
        return task

    def _wake(self, task: Task) -> None:
        for waiter, token in task.waiters:
            if not waiter.done and waiter.token == token:
                self._at(self.now, waiter)

    def _at(self, when: float, task: Task) -> None:
        self.number += 1
        heapq.heappush(self.heap, (when, self.number, task, task.token))

    def _switch(self, task: Task) -> None:
        self.hub.switch()
        if not task.process.alive:
            raise greenlet.GreenletExit


@dataclass
class SimClock:
    """Time as one process sees it; its wall clock may be wrong."""

    scheduler: Scheduler
    wall: float = 0.0  # seconds that the wall clock is wrong by

    @property
    def at(self) -> float:
        return self.scheduler.now

    def monotonic(self) -> float:
        return self.scheduler.now

    def sleep(self, seconds: float) -> None:
        self.scheduler.sleep(seconds)

    def now(self) -> str:
        return f"T{self.scheduler.now + self.wall:.3f}"


@dataclass
class SimMutex:
    """What one task can hold at a time."""

    scheduler: Scheduler
    held: bool = False

    def __enter__(self) -> None:
        while self.held:
            self.scheduler.sleep(0.05)
        self.held = True

    def __exit__(self, *_: object) -> None:
        self.held = False


@dataclass
class SimWorkers:
    """Workers whose threads are tasks."""

    scheduler: Scheduler
    process: Process

    def together(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        if len(calls) == 1:
            return [calls[0]()]
        tasks = [self.scheduler.spawn(self.process, call) for call in calls]
        self.scheduler.wait(tasks)
        for task in tasks:
            if task.error is not None:
                raise task.error
        return [task.result for task in tasks]

    def mutex(self) -> "SimMutex":
        return SimMutex(self.scheduler)

    @contextlib.contextmanager
    def beside(self, action: Callable[[], None], every: float) -> Iterator[None]:
        over, busy = [False], [False]

        def again() -> None:
            while not over[0]:
                self.scheduler.sleep(every)
                if not over[0]:
                    busy[0] = True
                    action()
                    busy[0] = False

        task = self.scheduler.spawn(self.process, again)
        try:
            yield
        finally:
            over[0] = True
            if busy[0] and self.process.alive:
                self.scheduler.wait([task])
