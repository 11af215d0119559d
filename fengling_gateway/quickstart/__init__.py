"""What scripts/quickstart runs: a whole gateway on this machine, told as a story.

Everything here serves the demonstration. Nothing that a real installation
runs imports it.
"""
