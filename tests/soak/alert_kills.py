"""Kill the keeper while it delivers alerts, again and again, then count. Exit code 1 if anything is wrong.

Every round finds one more spike for two rules (Slack and a signed webhook); the keeper, which looks, fills the outbox and delivers, is
killed with -9 at a random moment or at a named step. At the end each message must have arrived, and once: but for those whose receiver
had said 2xx when the kill came, and whose note was not yet written. The receiver answers some with 500 and 429 on the way.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from byok import keeper
from byok.accounts import alert_rules, users
from byok.accounts.alert_rules import Terms
from byok.accounts.database import open_database
from byok.notify import delivery, episodes, keeping, listing, outbox, outgoing, source
from byok.services import Services
from byok.settings import Settings
from byok.spikes.episodes import Spike
from tests.notify.receivers import Post, Receiver

STEPS = ("told", "taken", "posting", "posted", "settled")
AT_ONCE = 2  # one message to each of the two receivers
STUCK_S = 300.0  # without any progress
Key = tuple[str, str]  # which rule, and the model of the spike


def settings(root: Path, origin: str) -> Settings:
    fast = {"spike_every_s": 0.5, "publish_every_s": 60, "log_level": "error"}
    return Settings(data=root / "data", master_key_file=root / "master.key", slack_hosts=origin, **fast)


class World:
    """An installation with two rules, and the receiver that both point to."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.random, self.answered = root, random.Random(seed), Counter[Key]()
        self.receiver = Receiver(self._answer)
        self.spikes = root / "spikes"
        self.spikes.write_text("")
        self.hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        with Services(settings(root, self.receiver.origin)) as services:
            self.user_id = users.add(services.db, "ada@example.org", now=datetime.now(UTC)).id
            for channel in ("slack", "webhook"):
                target = listing.target(services.settings, channel, f"{self.receiver.origin}/{channel}")
                alert_rules.add(services.db, services.master, self.user_id, Terms(), target, now=datetime.now(UTC))
            self.db = open_database(services.settings.accounts_database)
            self.rules = {rule.id: f"/{rule.channel}" for rule in alert_rules.all_rules(self.db)}
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.soak.alert_kills"])
        self.ready = self.context.Event()
        self.kills, self.gap = Counter[str](), set[Key]()

    def _answer(self, post: Post, number: int) -> tuple[int, dict[str, str]]:
        if self.random.random() < 0.06:
            return self.random.choice([(500, {}), (503, {}), (429, {"retry-after": "1"})])
        self.answered[key_of(post)] += 1
        return 200, {}

    def round(self, number: int) -> None:
        """One more spike, and one more kill."""
        with self.spikes.open("a") as file:
            file.write(f"model-{number}\n")
        step = self.random.choice(STEPS) if self.random.random() < 0.6 else ""
        child = self._start(step)
        if step:
            child.join(30)  # it kills itself there; a step that is not reached any more is no step
        else:
            self.ready.wait(60)
            time.sleep(self.random.uniform(0.0, 0.6))
        if child.is_alive():
            os.kill(child.pid or 0, signal.SIGKILL)
            step = ""
        child.join()
        self.kills[step or "at random"] += 1
        self._note_gap()

    def _start(self, step: str) -> Any:
        self.ready.clear()
        facts = (str(self.root), self.receiver.origin, self.user_id, self.hour, step, self.ready)
        child = self.context.Process(target=main_of_child, args=facts)
        child.start()
        return child

    def _note_gap(self) -> None:
        """Whose receiver said 2xx while the outbox says that they are still to be sent: a repeat of these is allowed."""
        time.sleep(0.02)  # what was on its way into the receiver arrives
        answered = {key for key in self.pending() if self.answered[key]} - self.gap
        if len(answered) <= AT_ONCE:  # more cannot have been on their way: then it was no kill that prevented the note
            self.gap |= answered

    def pending(self) -> set[Key]:
        waiting = [one for one in outbox.of_user(self.db, self.user_id, most=10_000) if one.status == "pending"]
        return {(self.rules[one.rule_id or ""], json.loads(one.facts)["model"]) for one in waiting}

    def settle(self, kills: int) -> float:
        """Let one process work until nothing is left; how long that took."""
        started = moved = time.monotonic()
        child, left = self._start(""), self._left(kills)
        while left and time.monotonic() - moved < STUCK_S:
            time.sleep(0.5)
            before, left = left, self._left(kills)
            moved = time.monotonic() if left != before else moved
        child.kill()
        child.join()
        self.receiver.__exit__()
        self.db.close()
        return time.monotonic() - started

    def _left(self, kills: int) -> int:
        """How many messages have still to arrive or to be noted as sent."""
        return 2 * kills - len(self.answered) or len(self.pending())


def key_of(post: Post) -> Key:
    held = json.loads(post.body)
    model = held["text"].partition("openai/")[2].partition(":")[0]
    return post.path, model


def verdict(world: World, kills: int) -> tuple[list[Key], list[Key], list[Key]]:
    """Lost; doubled although no kill was in the gap; doubled within it."""
    wanted = {(path, f"model-{number}") for number in range(kills) for path in ("/slack", "/webhook")}
    lost = sorted(key for key in wanted if not world.answered[key])
    twice = sorted(key for key, count in world.answered.items() if count > 1)
    return lost, [key for key in twice if key not in world.gap], [key for key in twice if key in world.gap]


# -- the child --


def main_of_child(root: str, origin: str, user_id: str, hour: datetime, step: str, ready: Any) -> None:
    """`byok keeper` until killed; at `step` by its own hand. Only what it finds comes from a file, and its intervals are short."""
    delivery.SPACING_S, keeping.DELIVER_EVERY_S, outbox.WAITS_S = 0.0, 0.05, (1,)

    def from_file(*_: object, **__: object) -> Callable[[object], list[Spike]]:
        ready.set()
        return lambda _: list(spikes(Path(root) / "spikes", user_id, hour))

    source.spikes = from_file
    arm(step)
    keeper.run(settings(Path(root), origin))


def spikes(file: Path, user_id: str, hour: datetime) -> Iterable[Spike]:
    for model in file.read_text().split():
        yield Spike(hour, user_id, "openai", model, "tokens", 90_000.0, 9_000.0, 10.0, 0.9, "10.0 × the usual")


def arm(step: str) -> None:
    """Die right after (`posting`: right before) the first such step."""

    def after(room: Any, name: str) -> None:
        real = getattr(room, name)

        def act(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            if result or name == "settle":  # one that did something
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(room, name, act)

    if step == "told":
        after(episodes, "tell")
    elif step == "taken":
        after(outbox, "take")
    elif step == "posted":
        after(outgoing, "post")
    elif step == "settled":
        after(outbox, "settle")
    elif step == "posting":
        outgoing.post = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)


def run(root: Path, *, kills: int, seed: int) -> tuple[World, float]:
    """All of it in `root`: what happened, and how long the end took."""
    world = World(root, seed)
    for number in range(kills):
        world.round(number)
    return world, world.settle(kills)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.notifications", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="byok-notifications-") as folder:
        world, settled = run(Path(folder), kills=chosen.kills, seed=chosen.seed)
    lost, doubled, in_gap = verdict(world, chosen.kills)
    listed = ", ".join(f"{name} {count}" for name, count in sorted(world.kills.items()))
    took = timedelta(seconds=round(time.monotonic() - started))
    print(f"{chosen.kills} kills in {took} ({listed}); settled after {settled:.1f} s; {len(world.receiver.posts)} requests")
    gap = f"{len(in_gap)} repeated of {len(world.gap)} whose note a kill prevented"
    print(f"{2 * chosen.kills} messages: lost {len(lost)}, doubled {len(doubled)}; {gap}")
    return 0 if not lost and not doubled else 1
