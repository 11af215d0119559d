The keys of management tokens and of messages on Redis are changed without a restart: put the new one second, then first, then alone, with a HUP after each step.
