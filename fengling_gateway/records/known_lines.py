"""
Makes lines of an access log, by the formats that most ask for.

Made by: python -m fengling_gateway.records.line_source
"""
# mypy: ignore-errors

from fengling_gateway.records.fields import NOBODY, PROTOCOLS, document, listed, plain, quoted, text
from fengling_gateway.http.headers import value_of


def json(redacted, told, time_of, common_time_of):
    def line(one):
        (at, seconds, head, request_id, listener, scheme, client, peer, status, error, route, service, tenant, subject, revision, attempts, received, sent, trace_id) = one
        last = attempts[-1] if attempts else NOBODY
        v0 = time_of(at)
        a1 = text(request_id)
        v1 = 'null' if a1 is None else quoted(a1)
        a2 = text(trace_id)
        v2 = 'null' if a2 is None else quoted(a2)
        v3 = client
        a4 = text(head.method) if head else None
        v4 = 'null' if a4 is None else quoted(a4)
        a5 = text(head.host_header) if head else None
        v5 = 'null' if a5 is None else quoted(a5)
        a6 = text(redacted(head.target)) if head else None
        v6 = 'null' if a6 is None else quoted(a6)
        a7 = PROTOCOLS[head.minor] if head else None
        v7 = 'null' if a7 is None else quoted(a7)
        a8 = status
        v8 = 'null' if a8 is None else a8
        a9 = error.code if error else None
        v9 = 'null' if a9 is None else quoted(a9)
        a10 = route or None
        v10 = 'null' if a10 is None else quoted(a10)
        a11 = service or None
        v11 = 'null' if a11 is None else quoted(a11)
        a12 = tenant
        v12 = 'null' if a12 is None else quoted(a12)
        a13 = subject
        v13 = 'null' if a13 is None else quoted(a13)
        a14 = last.instance
        v14 = 'null' if a14 is None else quoted(a14)
        a15 = last.address
        v15 = 'null' if a15 is None else quoted(a15)
        a16 = len(attempts)
        v16 = 'null' if a16 is None else a16
        a17 = [document(each) for each in attempts[:-1]] if len(attempts) > 1 else None
        v17 = 'null' if a17 is None else listed(a17)
        a18 = received
        v18 = 'null' if a18 is None else a18
        a19 = sent
        v19 = 'null' if a19 is None else a19
        a20 = seconds
        v20 = 'null' if a20 is None else '%.3f' % (a20 * 1000)
        a21 = last.connect
        v21 = 'null' if a21 is None else '%.3f' % (a21 * 1000)
        a22 = last.seconds if last.error is None else last.first_byte
        v22 = 'null' if a22 is None else '%.3f' % (a22 * 1000)
        a23 = text(value_of(head.headers, b'user-agent')) if head else None
        v23 = 'null' if a23 is None else quoted(a23)
        a24 = revision
        v24 = 'null' if a24 is None else a24
        return ('{"time":"' f"{v0}" '","request_id":' f"{v1}" ',"trace_id":' f"{v2}" ',"client":"' f"{v3}" '","method":' f"{v4}" ',"host":' f"{v5}" ',"target":' f"{v6}" ',"protocol":' f"{v7}" ',"status":' f"{v8}" ',"error":' f"{v9}" ',"route":' f"{v10}" ',"service":' f"{v11}" ',"tenant":' f"{v12}" ',"subject":' f"{v13}" ',"instance":' f"{v14}" ',"address":' f"{v15}" ',"attempts":' f"{v16}" ',"tried":' f"{v17}" ',"received":' f"{v18}" ',"sent":' f"{v19}" ',"duration_ms":' f"{v20}" ',"connect_ms":' f"{v21}" ',"first_byte_ms":' f"{v22}" ',"user_agent":' f"{v23}" ',"revision":' f"{v24}" '}\n').encode()

    return line


def common(redacted, told, time_of, common_time_of):
    def line(one):
        (at, seconds, head, request_id, listener, scheme, client, peer, status, error, route, service, tenant, subject, revision, attempts, received, sent, trace_id) = one
        last = attempts[-1] if attempts else NOBODY
        v0 = client
        a1 = subject
        v1 = '-' if a1 is None else plain(a1)
        v2 = common_time_of(at)
        a3 = text(head.method) if head else None
        v3 = '-' if a3 is None else plain(a3)
        a4 = text(redacted(head.target)) if head else None
        v4 = '-' if a4 is None else plain(a4)
        a5 = PROTOCOLS[head.minor] if head else None
        v5 = '-' if a5 is None else plain(a5)
        a6 = status
        v6 = '-' if a6 is None else a6
        a7 = sent
        v7 = '-' if a7 is None else a7
        return ('' f"{v0}" ' - ' f"{v1}" ' [' f"{v2}" '] "' f"{v3}" ' ' f"{v4}" ' ' f"{v5}" '" ' f"{v6}" ' ' f"{v7}" '\n').encode()

    return line


def combined(redacted, told, time_of, common_time_of):
    def line(one):
        (at, seconds, head, request_id, listener, scheme, client, peer, status, error, route, service, tenant, subject, revision, attempts, received, sent, trace_id) = one
        last = attempts[-1] if attempts else NOBODY
        v0 = client
        a1 = subject
        v1 = '-' if a1 is None else plain(a1)
        v2 = common_time_of(at)
        a3 = text(head.method) if head else None
        v3 = '-' if a3 is None else plain(a3)
        a4 = text(redacted(head.target)) if head else None
        v4 = '-' if a4 is None else plain(a4)
        a5 = PROTOCOLS[head.minor] if head else None
        v5 = '-' if a5 is None else plain(a5)
        a6 = status
        v6 = '-' if a6 is None else a6
        a7 = sent
        v7 = '-' if a7 is None else a7
        a8 = text(value_of(head.headers, b'referer')) if head else None
        v8 = '-' if a8 is None else plain(a8)
        a9 = text(value_of(head.headers, b'user-agent')) if head else None
        v9 = '-' if a9 is None else plain(a9)
        return ('' f"{v0}" ' - ' f"{v1}" ' [' f"{v2}" '] "' f"{v3}" ' ' f"{v4}" ' ' f"{v5}" '" ' f"{v6}" ' ' f"{v7}" ' "' f"{v8}" '" "' f"{v9}" '"\n').encode()

    return line
