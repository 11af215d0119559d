"""The bus between processes and hosts: announcements, commands and node states over Redis.

Everything here is a hint or a report. A message lost, repeated, delayed or
forged changes when somebody looks, never what is served.
"""
