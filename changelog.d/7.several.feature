On the page *Kubernetes*, several pending services can be approved or rejected at once; what came of each is told by itself.
