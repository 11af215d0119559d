A console follows a Kubernetes cluster: Services that are labelled and approved become services, routes and instances, which follow their endpoints within milliseconds.
