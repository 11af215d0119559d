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
        (at, seconds, head, request_id, listener, scheme, client, peer, status, error, route, service, tenant, subject, revision, attempts, received, sent, trace_id) = one
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
        v8 = written[status]
        v9 = written[error.code if error else None]
        v10 = written[route or None]
        v11 = written[service or None]
        v12 = written[tenant]
        a13 = subject
        v13 = 'null' if a13 is None else quoted(a13)
        v14 = written[last.instance]
        v15 = written[last.address]
        v16 = written[len(attempts)]
        a17 = [document(each) for each in attempts[:-1]] if len(attempts) > 1 else None
        v17 = 'null' if a17 is None else listed(a17)
        a18 = received
        v18 = 'null' if a18 is None else a18
        a19 = sent
        v19 = 'null' if a19 is None else a19
        a20 = seconds
        v20 = 'null' if a20 is None else milliseconds(a20)
        a21 = last.connect
        v21 = 'null' if a21 is None else milliseconds(a21)
        a22 = last.seconds if last.error is None else last.first_byte
        v22 = 'null' if a22 is None else milliseconds(a22)
        v23 = written[said(head.headers, b'user-agent') if head else None]
        v24 = written[revision]
        return ('{"time":"' f"{v0}" '","request_id":' f"{v1}" ',"trace_id":' f"{v2}" ',"client":"' f"{v3}" '","method":' f"{v4}" ',"host":' f"{v5}" ',"target":' f"{v6}" ',"protocol":' f"{v7}" ',"status":' f"{v8}" ',"error":' f"{v9}" ',"route":' f"{v10}" ',"service":' f"{v11}" ',"tenant":' f"{v12}" ',"subject":' f"{v13}" ',"instance":' f"{v14}" ',"address":' f"{v15}" ',"attempts":' f"{v16}" ',"tried":' f"{v17}" ',"received":' f"{v18}" ',"sent":' f"{v19}" ',"duration_ms":' f"{v20}" ',"connect_ms":' f"{v21}" ',"first_byte_ms":' f"{v22}" ',"user_agent":' f"{v23}" ',"revision":' f"{v24}" '}\n').encode()

    return line


def common(redacted, told, said, time_of, common_time_of):
    written = Written(plain, '-')

    def line(one):
        (at, seconds, head, request_id, listener, scheme, client, peer, status, error, route, service, tenant, subject, revision, attempts, received, sent, trace_id) = one
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
        (at, seconds, head, request_id, listener, scheme, client, peer, status, error, route, service, tenant, subject, revision, attempts, received, sent, trace_id) = one
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
