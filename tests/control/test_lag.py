"""How late a reactor is, and whose fault it is."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.control.lag import LagProbe, seconds_without_cpu


class LagProbeTests(SynchronousTestCase):
    """`LagProbe`"""

    def setUp(self) -> None:
        self.clock = Clock()
        self.waited = 0.0
        self.probe = LagProbe(clock=self.clock, waited=lambda: self.waited)
        self.probe.start()

    def test_punctual_reactor_has_no_lag(self) -> None:
        """A tick every 50 ms is what was asked for."""
        self.clock.pump([0.05] * 20)
        lag, blocked = self.probe.take_longest_ms()
        self.assertLess(max(lag, blocked), 0.001)

    def test_longest_delay_is_told_once(self) -> None:
        """Each report is of the time since the one before."""
        self.clock.advance(0.35)
        self.assertEqual([round(one) for one in self.probe.take_longest_ms()], [300, 300])
        self.clock.advance(0.05)
        self.assertLess(max(self.probe.take_longest_ms()), 0.001)
        self.assertEqual(round(self.probe.longest_ever_ms), 300)

    def test_each_delay_is_counted(self) -> None:
        """Punctual ticks, too; whoever asks takes nothing away."""
        self.clock.pump([0.05, 0.05, 0.35])
        for _ in range(2):
            found = self.probe.lags.to_json()
            at_most = dict(zip(found["bounds"], found["values"], strict=False))
            self.assertEqual((at_most[0.001], at_most[0.5]), (2, 1))

    def test_waiting_for_a_cpu_is_lag_and_no_blocking(self) -> None:
        """On a crowded machine the reactor is late without having done anything."""
        self.waited += 0.2
        self.clock.advance(0.35)
        self.assertEqual([round(one) for one in self.probe.take_longest_ms()], [300, 100])

    def test_stopped_probe_leaves_no_timer(self) -> None:
        """Nothing ticks after stop."""
        self.probe.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SecondsWithoutCpuTests(SynchronousTestCase):
    """`seconds_without_cpu`"""

    def test_it_never_runs_backwards(self) -> None:
        """Whatever the system tells, it is a sum."""
        self.assertGreaterEqual(seconds_without_cpu(), 0.0)
        self.assertLessEqual(seconds_without_cpu(), seconds_without_cpu())
