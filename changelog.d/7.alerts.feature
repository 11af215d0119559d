Prometheus scrapes consoles, too, and alerts tell when a console is down, nobody follows the Kubernetes cluster, something of it can't be watched or written, or most of its routes wait to go.
