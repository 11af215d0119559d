"""
Makes lines of an access log, by the formats that most ask for.

Made by: python -m fengling_gateway.records.line_source
"""
# mypy: ignore-errors

from fengling_gateway.records.fields import (
    NOBODY,
    PROTOCOLS,
    Written,
    document,
    listed,
    milliseconds,
    plain,
    plain_bytes,
    quoted,
    quoted_bytes,
)


def json(redacted, told, said, time_of, common_time_of):
    written = Written(quoted, 'null')

    def line(one):
        (at, seconds, head, request_id, listener, scheme, client, peer, status, error, route, service, tenant, subject, revision, attempts, received, sent, trace_id, tls) = one
        last = attempts[-1] if attempts else NOBODY
        v0 = time_of(at)
        a1 = request_id
        v1 = 'null' if a1 is None else quoted_bytes(a1)
        a2 = trace_id
        v2 = 'null' if a2 is None else quoted_bytes(a2)
        v3 = client
        v4 = written[head.method if head else None]
        v5 = written[head.host_header if head else None]
        a6 = redacted(head.target) if head else None
        v6 = 'null' if a6 is None else quoted_bytes(a6)
        v7 = written[PROTOCOLS[head.minor] if head else None]
        v8 = written[tls[1] if tls else None]
        v9 = written[status]
        v10 = written[error.code if error else None]
        v11 = written[route or None]
        v12 = written[service or None]
        v13 = written[tenant]
        a14 = subject
        v14 = 'null' if a14 is None else quoted(a14)
        v15 = written[last.instance]
        v16 = written[last.address]
        v17 = written[len(attempts)]
        a18 = [document(each) for each in attempts[:-1]] if len(attempts) > 1 else None
        v18 = 'null' if a18 is None else listed(a18)
        a19 = received
        v19 = 'null' if a19 is None else a19
        a20 = sent
        v20 = 'null' if a20 is None else a20
        a21 = seconds
        v21 = 'null' if a21 is None else milliseconds(a21)
        a22 = last.connect
        v22 = 'null' if a22 is None else milliseconds(a22)
        a23 = last.seconds if last.error is None else last.first_byte
        v23 = 'null' if a23 is None else milliseconds(a23)
        v24 = written[said(head.headers, b'user-agent') if head else None]
        v25 = written[revision]
        return ('{"time":"' f"{v0}" '","request_id":' f"{v1}" ',"trace_id":' f"{v2}" ',"client":"' f"{v3}" '","method":' f"{v4}" ',"host":' f"{v5}" ',"target":' f"{v6}" ',"protocol":' f"{v7}" ',"tls_version":' f"{v8}" ',"status":' f"{v9}" ',"error":' f"{v10}" ',"route":' f"{v11}" ',"service":' f"{v12}" ',"tenant":' f"{v13}" ',"subject":' f"{v14}" ',"instance":' f"{v15}" ',"address":' f"{v16}" ',"attempts":' f"{v17}" ',"tried":' f"{v18}" ',"received":' f"{v19}" ',"sent":' f"{v20}" ',"duration_ms":' f"{v21}" ',"connect_ms":' f"{v22}" ',"first_byte_ms":' f"{v23}" ',"user_agent":' f"{v24}" ',"revision":' f"{v25}" '}\n').encode()

    return line


def common(redacted, told, said, time_of, common_time_of):
    written = Written(plain, '-')

    def line(one):
        (at, seconds, head, request_id, listener, scheme, client, peer, status, error, route, service, tenant, subject, revision, attempts, received, sent, trace_id, tls) = one
        last = attempts[-1] if attempts else NOBODY
        v0 = client
        a1 = subject
        v1 = '-' if a1 is None else plain(a1)
        v2 = common_time_of(at)
        v3 = written[head.method if head else None]
        a4 = redacted(head.target) if head else None
        v4 = '-' if a4 is None else plain_bytes(a4)
        v5 = written[PROTOCOLS[head.minor] if head else None]
        v6 = written[status]
        a7 = sent
        v7 = '-' if a7 is None else a7
        return ('' f"{v0}" ' - ' f"{v1}" ' [' f"{v2}" '] "' f"{v3}" ' ' f"{v4}" ' ' f"{v5}" '" ' f"{v6}" ' ' f"{v7}" '\n').encode()

    return line


def combined(redacted, told, said, time_of, common_time_of):
    written = Written(plain, '-')

    def line(one):
        (at, seconds, head, request_id, listener, scheme, client, peer, status, error, route, service, tenant, subject, revision, attempts, received, sent, trace_id, tls) = one
        last = attempts[-1] if attempts else NOBODY
        v0 = client
        a1 = subject
        v1 = '-' if a1 is None else plain(a1)
        v2 = common_time_of(at)
        v3 = written[head.method if head else None]
        a4 = redacted(head.target) if head else None
        v4 = '-' if a4 is None else plain_bytes(a4)
        v5 = written[PROTOCOLS[head.minor] if head else None]
        v6 = written[status]
        a7 = sent
        v7 = '-' if a7 is None else a7
        a8 = told(head, b'referer')
        v8 = '-' if a8 is None else plain(a8)
        v9 = written[said(head.headers, b'user-agent') if head else None]
        return ('' f"{v0}" ' - ' f"{v1}" ' [' f"{v2}" '] "' f"{v3}" ' ' f"{v4}" ' ' f"{v5}" '" ' f"{v6}" ' ' f"{v7}" ' "' f"{v8}" '" "' f"{v9}" '"\n').encode()

    return line
