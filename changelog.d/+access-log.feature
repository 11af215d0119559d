An access log: JSON, common, combined or by a template; with filters, sampling and redaction ([access log](docs/access-log.md)).
