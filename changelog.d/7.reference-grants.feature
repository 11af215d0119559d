ReferenceGrants are read as `v1`, or as `v1beta1` where a cluster's API server does not serve that.
