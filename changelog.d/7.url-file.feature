`fenglingctl` reads the URL of its database also from the file that `FENGLING_DATABASE__URL_FILE` names, as
gateways and consoles do.
