`etc/kubernetes` has an image, a Helm chart and plain manifests for gateways, consoles and the migration of the
schema: restricted pods, least rights, secrets as files, and an end without a lost request (docs/kubernetes-install.md).
