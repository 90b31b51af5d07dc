"""
Every promise of the download machine, in thousands of random orders of answers, faults, stops, kills and
power losses.
"""

from __future__ import annotations

import random

import pytest
from download_world import OLD, PART_BYTES, DownloadWorld
from hypothesis import settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from penstock.errors import ChecksumMismatch, SourceChanged, TargetChanged
from penstock.transfer import events as on
from penstock.transfer.job import DownloadSettings
from penstock.transfer.journal import EndKind
from penstock.transfer.outcome import CleanUp, OutcomeKind

ORDERS = 2_500
SLOW_ORDERS = 100_000


def new_world(rng: random.Random, *, part_count: int, keep: bool = True) -> DownloadWorld:
    chosen = DownloadSettings(parallel=3, keep=keep, sync_every_bytes=2 * PART_BYTES)
    return DownloadWorld(rng, part_count, chosen)


def play(seed: int) -> DownloadWorld:
    rng = random.Random(seed)
    world = new_world(rng, part_count=rng.randint(1, 7), keep=rng.random() < 0.9)
    world.damage = 0.02
    for _ in range(rng.randint(5, 60)):
        luck = rng.random()
        if world.report is not None:
            if world.report.kind is OutcomeKind.COMMITTED or not world.durable:
                break
            world.resume(cancel=luck < 0.05)
        elif luck < 0.75:
            if world.stopping and not world.quiet:
                world.become_quiet()
            elif world.pending:
                world.answer(rng.choice(world.pending), faults=True)
        elif luck < 0.80:
            world.feed(on.AbortRequested())
        elif luck < 0.83:
            world.feed(on.DrainRequested())
        elif luck < 0.85:
            world.feed(on.DrainTimedOut())
        elif luck < 0.86:
            world.feed(on.CancelRequested())
        elif luck < 0.92:
            world.kill()
        elif luck < 0.96:
            world.lose_power()
        elif luck < 0.98:
            world.meddle()
        elif luck < 0.99:
            world.write_object()
    return world


def finish(world: DownloadWorld) -> None:
    """Stop all faults; the download must come to a truthful end without anyone's help."""
    world.damage = 0.0
    for _ in range(4):
        outcome = world.run_to_the_end()
        match outcome.kind:
            case OutcomeKind.COMMITTED:
                assert world.file != OLD
                assert not world.durable, "the journal is left"
                return
            case OutcomeKind.CANCELLED:
                assert outcome.clean_up is CleanUp.VERIFIED or world.durable or not world.settings.keep
                return
            case OutcomeKind.FAILED if isinstance(outcome.error, SourceChanged):
                assert len(world.revisions) > 1
                return
            case OutcomeKind.FAILED if isinstance(outcome.error, TargetChanged):
                # Whether this file or the missing partial one was meddled with, nobody can tell.
                assert world.is_meddled_with
                return
            case OutcomeKind.FAILED if isinstance(outcome.error, ChecksumMismatch):
                assert world.is_damaged
        if not world.durable:
            assert world.partial is None or world.discard_failed
            return
        view = world.view()
        assert view is not None
        world.resume(cancel=view.end is not None and view.end.kind is EndKind.CANCEL_PENDING)
    raise AssertionError("the download does not come to an end")


def test_promises_hold_in_random_orders_of_answers_faults_stops_kills_and_power_losses() -> None:
    committed = 0
    for seed in range(ORDERS):
        world = play(seed)
        finish(world)
        committed += world.file != OLD
    assert committed > ORDERS // 2


@pytest.mark.slow
def test_promises_hold_in_very_many_random_orders() -> None:
    for seed in range(ORDERS, ORDERS + SLOW_ORDERS):
        finish(play(seed))


@pytest.mark.parametrize("seed", range(50))
def test_a_kill_at_any_moment_costs_only_the_ranges_that_were_under_way(seed: int) -> None:
    rng = random.Random(seed)
    world = new_world(rng, part_count=9)
    wasted = 0
    for _ in range(rng.randint(1, 40)):
        if world.report is not None:
            break
        if rng.random() < 0.2:
            wasted += sum(type(command).__name__ == "FetchRange" for command in world.pending)
            world.kill()
        else:
            world.answer(rng.choice(world.pending), faults=False)
    assert world.run_to_the_end().kind is OutcomeKind.COMMITTED
    assert len(world.fetched) == 9 + wasted


class DownloadOrders(RuleBasedStateMachine):
    """The same world, with orders that hypothesis invents and makes shorter."""

    def __init__(self) -> None:
        super().__init__()
        self.world = new_world(random.Random(0), part_count=4)

    @precondition(lambda self: self.world.pending and not self.world.stopping)
    @rule(which=strategies.integers(0, 7), seed=strategies.integers(0, 5), faults=strategies.booleans())
    def answer(self, which: int, seed: int, faults: bool) -> None:
        self.world.rng.seed(seed)
        self.world.answer(self.world.pending[which % len(self.world.pending)], faults=faults)

    @precondition(lambda self: self.world.stopping and not self.world.quiet)
    @rule(seed=strategies.integers(0, 5))
    def become_quiet(self, seed: int) -> None:
        self.world.rng.seed(seed)
        self.world.become_quiet()

    @precondition(lambda self: self.world.report is None)
    @rule()
    def abort(self) -> None:
        self.world.feed(on.AbortRequested())

    @precondition(lambda self: self.world.report is None)
    @rule()
    def drain(self) -> None:
        self.world.feed(on.DrainRequested())

    @precondition(lambda self: self.world.report is None)
    @rule(seed=strategies.integers(0, 9), how=strategies.sampled_from(("kill", "lose_power", "meddle")))
    def crash(self, seed: int, how: str) -> None:
        self.world.rng.seed(seed)
        getattr(self.world, how)()

    @precondition(lambda self: self.world.report is not None and self.world.durable)
    @rule()
    def resume(self) -> None:
        self.world.resume()

    @rule(seed=strategies.integers(0, 5))
    def write_object(self, seed: int) -> None:
        self.world.rng.seed(100 + seed + len(self.world.revisions))
        self.world.write_object()

    def teardown(self) -> None:
        finish(self.world)


def test_promises_hold_in_orders_that_hypothesis_invents() -> None:
    run_state_machine_as_test(
        DownloadOrders,
        settings=settings(max_examples=100, stateful_step_count=40, deadline=None, database=None),
    )
