"""What benchmarks are made of: child processes, load, instances to forward to, and tables."""
