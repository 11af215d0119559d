`status` names the first 100 rejected entities and counts all (`rejected_total`, `rejected_by_kind`); `GET /api/gateway/rejected` and `fenglingctl get rejected` list every one of them.
