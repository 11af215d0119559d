`fenglingctl doctor --console URL` notes it where HTTPRoutes of any namespace may take any host, because `[kubernetes] hosts` says nothing; `hosts = ["*=*"]` says that they may.
