"""The script by which workers count global limits together, and how they talk to it.

One call carries what one worker has taken of many keys and brings back what all
have. It is atomic, goes by the clock of Redis alone, and gives every key an
expiry. A call that is repeated, because nobody knows whether the first one was
run, counts nothing twice: each has a number, and the last one is remembered.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Any, Final

from fengling_gateway.limiting.limit import Limit
from fengling_gateway.limiting.shared import MOST_DEBT, Spent
from fengling_gateway.limiting.sliding_window import SlidingWindows
from fengling_gateway.limiting.token_bucket import TokenBuckets
from fengling_gateway.syncbus.errors import BusError

CALL_REMEMBERED_SECONDS: Final = 600
"""Far longer than a call is repeated for."""

_MICROSECONDS: Final = 1_000_000
_MOST: Final = 10**15
"""Longer than any debt or count: what says more is no answer of this script."""

# Of each key: what was taken; the microseconds of a token and the burst; or those of a window
# and, negative, what may be taken in it. A bucket is the microsecond at which it will be full. A
# window is its number, what was taken in it, and in the one before; what is beyond what may be
# counts in the next ones.
SCRIPT: Final = """\
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function number(text, most)
  local value = tonumber(text or '')
  return value and value >= 0 and value <= most and value or 0
end
local before_this = number(redis.call('GET', KEYS[1]), 1e15)
local is_new = before_this < tonumber(ARGV[1])
if is_new then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
local most_debt = tonumber(ARGV[3])
local answers = {}
local function count_bucket(key, taken, token, burst)
  local most = token * burst * most_debt
  local full_at = math.max(number(redis.call('GET', key), now + most), now)
  if taken > 0 then
    full_at = math.min(full_at + taken * token, now + most)
    redis.call('SET', key, string.format('%.0f', full_at),
      'PX', string.format('%.0f', math.ceil((full_at - now) / 1000) + 1000))
  end
  return full_at - now, 0, 0
end
local function count_window(key, taken, window, count)
  local index = math.floor(now / window)
  local was, inside, before = string.match(redis.call('GET', key) or '', '^(%d+):(%d+):(%d+)$')
  was, inside, before = number(was, index), number(inside, 1e15), number(before, 1e15)
  local windows = index - was
  if windows > 0 then
    before = windows == 1 and inside or math.max(0, inside - (windows - 1) * count)
    inside = math.max(0, inside - windows * count)
  end
  if taken > 0 then
    inside = math.min(inside + taken, count * most_debt)
    redis.call('SET', key, string.format('%.0f:%.0f:%.0f', index, inside, before),
      'PX', string.format('%.0f', math.ceil(window / 1000 * (2 + inside / count))))
  end
  return now - index * window, inside, before
end
for i = 2, #KEYS do
  local a = 3 * (i - 2) + 4
  local taken = is_new and tonumber(ARGV[a]) or 0
  local length, count = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local one, two, three
  if count < 0 then
    one, two, three = count_window(KEYS[i], taken, length, -count)
  else
    one, two, three = count_bucket(KEYS[i], taken, length, count)
  end
  answers[#answers + 1] = one
  answers[#answers + 1] = two
  answers[#answers + 1] = three
end
return answers
"""

SCRIPT_HASH: Final = sha1(SCRIPT.encode()).hexdigest()  # noqa: S324 — how Redis calls scripts


def arguments(number: int, batch: list[Spent]) -> list[str | int]:
    """Return what the script is called with, beside its keys; `number` is greater each time."""
    values: list[str | int] = [number, CALL_REMEMBERED_SECONDS * 1000, MOST_DEBT]
    for counts, _, taken in batch:
        values += (taken, *_terms(counts.limit))
    return values


def settle(batch: list[Spent], answers: Any, now: float) -> None:
    """
    Go by what the script answered.

    Args:
        now: by the clock of those who ask the limits.

    Raises:
        BusError: that is not what was asked; nothing has changed.
    """
    if not _is_answer(answers, 3 * len(batch)):
        raise BusError("no answer of this script")
    for place, (counts, key, _) in enumerate(batch):
        one, two, three = answers[3 * place : 3 * place + 3]
        since = counts.untold.get(key, 0)
        whole = counts.whole
        if isinstance(whole, TokenBuckets):
            whole.settle(key, one / _MICROSECONDS, since, now)
        elif isinstance(whole, SlidingWindows):
            whole.settle(key, (one / _MICROSECONDS, two, three), since, now)


def _terms(limit: Limit) -> tuple[str, int]:
    window = limit.window * _MICROSECONDS
    if limit.is_bucket:
        return repr(window / limit.count), limit.burst
    return str(window), -limit.count


def _is_answer(answers: Any, length: int) -> bool:
    return (
        type(answers) is list
        and len(answers) == length
        and all(type(one) is int and 0 <= one <= _MOST for one in answers)
    )
