Every line of the log has an id that stays (`event` in JSON); docs/log-events.md names them all.
