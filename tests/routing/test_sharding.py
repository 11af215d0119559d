"""A ShardedDict is a dict whose copies share."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fengling_gateway.routing.sharding import WIDE, AnyDict, ShardedDict, put

KEYS = st.integers(0, 50).map(lambda number: f"key-{number}")


class TwinsMachine(RuleBasedStateMachine):
    """Two maps, one copied from the other now and then, against two plain dicts."""

    def __init__(self) -> None:
        super().__init__()
        start = {f"key-{number}": number for number in range(20)}
        self.maps = [ShardedDict(dict(start)), ShardedDict(dict(start))]
        self.models = [dict(start), dict(start)]

    @rule(which=st.integers(0, 1), key=KEYS, value=st.integers())
    def write(self, which: int, key: str, value: int) -> None:
        self.maps[which][key] = value
        self.models[which][key] = value

    @rule(which=st.integers(0, 1), key=KEYS)
    def delete(self, which: int, key: str) -> None:
        if key in self.models[which]:
            del self.maps[which][key]
            del self.models[which][key]

    @rule(source=st.integers(0, 1))
    def copy(self, source: int) -> None:
        self.maps[1 - source] = self.maps[source].copy()
        self.models[1 - source] = self.models[source].copy()

    @invariant()
    def each_equals_its_model(self) -> None:
        for items, model in zip(self.maps, self.models, strict=True):
            assert dict(items.items()) == model
            assert len(items) == len(model)
            assert sorted(items) == sorted(model)
            assert sorted(items.values()) == sorted(model.values())
            assert items.get("key-7") == model.get("key-7")


TwinsTests = TwinsMachine.TestCase
TwinsTests.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


class PutTests:
    def test_a_dict_that_grows_wide_is_sharded_and_keeps_its_items(self) -> None:
        """From small to tens of thousands of keys nothing is lost, and copies stay apart."""
        items: AnyDict[int, int] = {}
        for key in range(WIDE):
            items = put(items, key, -key)
        assert type(items) is dict
        wide = put(items, WIDE, -WIDE)
        assert type(wide) is ShardedDict
        assert put(wide, WIDE, -WIDE) is wide
        items = wide
        for key in range(WIDE, 20_000):
            items = put(items, key, -key)
        before = items.copy()
        items = put(items, 7, 0)
        assert len(items) == len(before) == 20_000
        assert (before.get(7), items.get(7), items.get(19_999)) == (-7, 0, -19_999)
        assert sorted(before) == list(range(20_000))

    def test_shards_are_few_or_many(self) -> None:
        """As many as the items need, whether they come at once or one after the other."""
        for number, shards in [(2000, 64), (8191, 64), (8192, 1024), (9000, 1024)]:
            items = ShardedDict(dict.fromkeys(range(number)))
            assert len(items.shards) == shards
            assert all(items.shards)
        grown: ShardedDict[int, int] = ShardedDict({})
        for key in range(8192):
            assert len(grown.shards) == 64
            grown[key] = key
        assert len(grown.shards) == 1024
        assert len(grown) == 8192
        shards = grown.shards
        del grown[7]
        grown[7] = 7
        assert grown.shards is shards
        grown.copy()[7] = 0
        assert dict(grown.items()) == {key: key for key in range(8192)}
