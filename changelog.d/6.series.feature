A gateway has at most 20,000 series by default, whatever it serves and however many workers it has; workers tell their counters in parts, none of which takes 5 ms.
