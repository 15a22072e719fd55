"""Jobs: one thread an iterator, replaceable updates, one end, the iterator closed in its own thread."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from textual.app import App

from core.errors import UserError
from tests.tui.modes import until
from tinydiff_tui.jobs.jobs import Job, Jobs
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate


class Listener(App[None]):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs = Jobs()
        self.updates: list[object] = []
        self.ends: list[JobFinished] = []
        self.busy_at_end: list[bool] = []

    def on_job_update(self, message: JobUpdate) -> None:
        self.updates.append(message.snapshot)

    def on_job_finished(self, message: JobFinished) -> None:
        self.ends.append(message)
        self.busy_at_end.append(self.jobs.running(message.name))


class Numbers:
    """Counts while it may; remembers which thread pulled and closed it."""

    def __init__(self, last: int | None = None, error: Exception | None = None) -> None:
        self.last, self.error = last, error
        self.pulled = 0
        self.closed_by: str | None = None

    def __call__(self) -> Iterator[int]:
        try:
            while self.last is None or self.pulled < self.last:
                self.pulled += 1
                yield self.pulled
            if self.error:
                raise self.error
        finally:
            self.closed_by = threading.current_thread().name


async def test_last_values_ride_on_the_end_and_updates_are_few() -> None:
    app, numbers = Listener(), Numbers(20_000)
    async with app.run_test() as pilot:
        assert app.jobs.start("train", numbers, app, lambda item: item * 10) is not None
        await until(pilot, lambda: bool(app.ends))
        assert app.ends[0].snapshot == 200_000
        assert app.ends[0].error is None
        assert len(app.updates) < 200
        assert app.busy_at_end == [False]
        assert len(app.ends) == 1


async def test_stop_closes_the_iterator_in_its_thread_and_frees_the_name_after() -> None:
    app, numbers = Listener(), Numbers()
    async with app.run_test() as pilot:
        job = app.jobs.start("train", numbers, app, lambda item: item)
        assert app.jobs.start("train", Numbers(1), app, lambda item: item) is None
        await until(pilot, lambda: numbers.pulled > 10)
        assert job is not None
        job.stop()
        assert job.stopping
        await until(pilot, lambda: bool(app.ends))
        assert numbers.closed_by == "job train"
        assert app.jobs.start("train", Numbers(1), app, lambda item: item) is not None
        await until(pilot, lambda: len(app.ends) == 2)


async def test_a_successor_begins_when_the_job_before_is_closed_and_only_the_last_is_heard() -> None:
    app, first, between, last = Listener(), Numbers(), Numbers(3), Numbers(5)
    held = threading.Event()

    def see(item: int) -> int:
        held.wait(60)
        return item

    async with app.run_test() as pilot:
        before = app.jobs.start("race", first, app, see)
        await until(pilot, lambda: first.pulled > 0)
        assert before is not None and app.jobs.busy("race")
        waiting = app.jobs.replace("race", between, app)
        newest = app.jobs.replace("race", last, app)
        assert before.stopping and waiting.stopping and not newest.stopping
        assert app.jobs.get("race") is newest and app.jobs.busy("race") and last.pulled == 0
        held.set()
        await until(pilot, lambda: bool(app.ends))
        assert [end.snapshot for end in app.ends] == [5] and app.ends[0].job is newest
        assert first.closed_by == last.closed_by == "job race" and between.pulled == 0
        assert not app.jobs.running("race")


async def test_a_job_that_is_stopped_while_it_waits_says_that_it_ended() -> None:
    app, first, last = Listener(), Numbers(), Numbers()
    held = threading.Event()

    def see(item: int) -> int:
        held.wait(60)
        return item

    async with app.run_test() as pilot:
        app.jobs.start("race", first, app, see)
        await until(pilot, lambda: first.pulled > 0)
        waiting = app.jobs.replace("race", last, app)
        app.jobs.stop("race")
        assert waiting.stopping and app.jobs.running("race") and not app.jobs.busy("race")
        held.set()
        await until(pilot, lambda: bool(app.ends))
        assert [end.job for end in app.ends] == [waiting] and last.pulled <= 1 and not app.jobs.running("race")


async def test_all_are_stopped_with_those_that_wait() -> None:
    app, first, last = Listener(), Numbers(), Numbers()
    async with app.run_test() as pilot:
        app.jobs.start("race", first, app)
        await until(pilot, lambda: first.pulled > 0)
        app.jobs.replace("race", last, app)
        await asyncio.to_thread(app.jobs.stop_all)
        assert first.closed_by == "job race" and last.closed_by == "job race" and not app.jobs.running("race")


async def test_a_job_rests_as_long_as_it_is_told_to_on_what_the_screen_was_shown() -> None:
    app, numbers = Listener(), Numbers()
    paused, asked = threading.Event(), []

    def rests() -> bool:
        if paused.is_set():
            asked.append(numbers.pulled)
        return paused.is_set()

    async with app.run_test() as pilot:
        job = app.jobs.start("train", numbers, app, lambda item: item, rests)
        assert job is not None
        await until(pilot, lambda: numbers.pulled > 10)
        paused.set()
        await until(pilot, lambda: len(asked) > 2)  # it goes on asking while it rests
        held = asked[0]
        await until(pilot, lambda: app.updates[-1] == held)
        for _ in range(20):
            await pilot.pause()
        assert numbers.pulled == held
        paused.clear()
        job.wake()
        await until(pilot, lambda: numbers.pulled > held)
        paused.set()
        job.stop()  # also while it rests
        await until(pilot, lambda: bool(app.ends))
        assert app.ends[0].snapshot == numbers.pulled


@pytest.mark.parametrize(
    ("error", "sentence"), [(UserError("no such folder"), "no such folder"), (ValueError("odd"), "ValueError: odd")]
)
async def test_an_error_ends_the_job_and_not_the_app(error: Exception, sentence: str) -> None:
    app = Listener()
    async with app.run_test() as pilot:
        app.jobs.start("sample", Numbers(3, error), app, lambda item: item)
        await until(pilot, lambda: bool(app.ends))
        assert sentence in str(app.ends[0].error)


async def test_an_iterator_that_cannot_be_made_is_an_error_too() -> None:
    def make() -> Iterator[Any]:
        raise UserError("there is no such file")

    app = Listener()
    async with app.run_test() as pilot:
        app.jobs.start("sample", make, app, lambda item: item)
        await until(pilot, lambda: bool(app.ends))
        assert app.ends[0].error == "there is no such file"
        assert app.ends[0].snapshot is None


def test_updates_of_one_job_replace_each_other() -> None:
    one, other = (Job("train", Listener()) for _ in range(2))
    assert JobUpdate(one, 1).can_replace(JobUpdate(one, 2))
    assert not JobUpdate(one, 1).can_replace(JobUpdate(other, 2))
    assert not JobUpdate(one, 1).can_replace(JobFinished(one, None, 2))


async def test_what_a_job_said_last_is_not_heard_once_its_successor_has_started() -> None:
    app = Listener()
    async with app.run_test() as pilot:
        before = app.jobs.start("train", Numbers(3, UserError("torn")), app, lambda item: -item)
        assert before is not None and before.thread is not None
        before.thread.join()  # its messages wait, as the event loop is here
        assert not before.stopping
        app.jobs.stop("train")
        assert before.stopping and not app.jobs.running("train")
        app.jobs.start("train", Numbers(5), app)
        app.jobs.start("sample", Numbers(7), app)
        await until(pilot, lambda: len(app.ends) == 2)
        assert {(end.name, end.error, end.snapshot) for end in app.ends} == {("train", None, 5), ("sample", None, 7)}
        assert -3 not in app.updates
