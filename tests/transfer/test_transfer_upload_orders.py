"""
Every promise of the upload machine, in thousands of random orders of answers, faults, stops and crashes.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from upload_world import World, with_settings

from penstock.errors import SourceChanged, TargetChanged, UploadLost
from penstock.transfer import events as on
from penstock.transfer.completion import MAX_ROUNDS
from penstock.transfer.journal import journal_view, records
from penstock.transfer.outcome import CleanUp, OutcomeKind

ORDERS = 2_500
SLOW_ORDERS = 100_000


def play(seed: int) -> World:
    rng = random.Random(seed)
    world = World(rng, part_count=rng.randint(1, 7), settings=with_settings(keep_matching=rng.random() < 0.5))
    has_cancelled = False
    for _ in range(rng.randint(5, 60)):
        luck = rng.random()
        if world.report is not None:
            if world.report.kind is OutcomeKind.COMMITTED:
                break
            if has_cancelled or world.report.kind is OutcomeKind.CANCELLED or is_final(world):
                break
            world.resume(resolve_only=luck < 0.1)
        elif luck < 0.70:
            if world.stopping and not world.quiet:
                world.become_quiet()
            elif world.pending:
                world.answer(rng.choice(world.pending), faults=True)
        elif luck < 0.74:
            world.feed(on.AbortRequested())
        elif luck < 0.77:
            world.feed(on.DrainRequested())
        elif luck < 0.79:
            world.feed(on.DrainTimedOut())
        elif luck < 0.80:
            has_cancelled = True
            world.feed(on.CancelRequested())
        elif luck < 0.86:
            world.crash()
        elif luck < 0.88:
            world.change_source()
        elif luck < 0.885:
            world.foreign_write()
        elif luck < 0.8875:
            world.twin_commits()
        elif luck < 0.8925 and not world.stop_requested:
            world.journal_works = False
        else:
            world.let_zombies_act()
        if world.journal_works:
            assert not world.forgotten_uploads()
    return world


def is_final(world: World) -> bool:
    """The journal says that the transfer is over: nothing is resumed."""
    view = journal_view(records(world.durable)[0])
    return view is not None and view.end is not None


def finish(world: World) -> None:
    """Stop all faults; the upload must come to a truthful end without anyone's help."""
    if not world.journal_works:
        return
    for _ in range(8):
        outcome = world.run_to_the_end()
        match outcome.kind:
            case OutcomeKind.COMMITTED:
                assert world.committed_uploads or world.twin_made
                assert not world.forgotten_uploads()
                # A journal that stays leads to an upload that could not be removed beside a twin's object.
                assert world.twin_made or not world.durable, "the journal is left"
                return
            case OutcomeKind.CANCELLED:
                assert outcome.clean_up is not None
                assert outcome.clean_up is CleanUp.VERIFIED or world.durable or outcome.unclaimed_uploads
                return
            case OutcomeKind.FAILED if isinstance(outcome.error, SourceChanged):
                # A source that is edited each time it is looked at is given up, whatever is kept of it.
                assert len(world.revisions) > (MAX_ROUNDS if world.settings.keep_matching else 1)
                return
            case OutcomeKind.FAILED if isinstance(outcome.error, TargetChanged):
                assert world.foreign_writes or world.twin_made
                return
            case OutcomeKind.FAILED if isinstance(outcome.error, UploadLost):
                # Cancelled in an earlier run, or its object was overwritten: gone for good either way.
                assert not world.uploads
                return
        if is_final(world):
            return
        world.resume()
    raise AssertionError("the upload does not come to an end")


def test_promises_hold_in_random_orders_of_replies_failures_stops_and_crashes() -> None:
    committed = 0
    for seed in range(ORDERS):
        world = play(seed)
        finish(world)
        committed += world.is_over
    assert committed > ORDERS // 3


@pytest.mark.slow
def test_promises_hold_in_very_many_random_orders() -> None:
    for seed in range(ORDERS, ORDERS + SLOW_ORDERS):
        finish(play(seed))


class UploadOrders(RuleBasedStateMachine):
    """The same world, with orders that hypothesis invents and makes shorter."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(random.Random(0), part_count=4, settings=with_settings(keep_matching=True))

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

    @rule(seed=strategies.integers(0, 5))
    def crash(self, seed: int) -> None:
        self.world.rng.seed(seed)
        self.world.crash()

    @precondition(lambda self: self.world.report is not None and not self.world.is_over)
    @rule()
    def resume(self) -> None:
        self.world.resume()

    @rule()
    def change_source(self) -> None:
        self.world.change_source()

    @rule(seed=strategies.integers(0, 5))
    def late_requests_arrive(self, seed: int) -> None:
        self.world.rng.seed(seed)
        self.world.let_zombies_act()

    @invariant()
    def no_upload_is_forgotten(self) -> None:
        assert not self.world.forgotten_uploads()

    def teardown(self) -> None:
        finish(self.world)


def test_promises_hold_in_orders_that_hypothesis_invents() -> None:
    run_state_machine_as_test(
        UploadOrders,
        settings=settings(max_examples=150, stateful_step_count=40, deadline=None, database=None),
    )
