"""Who may do what in a pretended cluster: bearer tokens, and rules as of RBAC. No I/O."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fengling_gateway.kubernetes.resources import Resource

CONSOLE = "system:serviceaccount:fengling:fengling-console"

Rule = Mapping[str, Sequence[str]]
"""As in a Role: ``apiGroups``, ``resources``, ``verbs``."""

EVERYTHING: Rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


class Asked(NamedTuple):
    """What somebody wants to do; `namespace` None is all of them."""

    verb: str
    resource: Resource
    subresource: str | None
    namespace: str | None


class _Binding(NamedTuple):
    user: str
    namespace: str | None
    rules: Sequence[Rule]


class Access:
    """Tokens and rights; at first there is one user, who may do everything."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[str, float]] = {}
        self._bindings = [_Binding(CONSOLE, None, [EVERYTHING])]
        self._forbidden: set[tuple[str, Resource, str | None]] = set()

    # Tokens

    def new_token(self, user: str = CONSOLE, seconds: float = float("inf")) -> str:
        token = f"token-{uuid.uuid4().hex}"
        self._tokens[token] = (user, time.monotonic() + seconds)
        return token

    def revoke(self, token: str) -> None:
        del self._tokens[token]

    def user(self, token: str) -> str | None:
        """Return whose token it is; None if nobody's, or not any more."""
        user, until = self._tokens.get(token, ("", 0.0))
        return user if user and time.monotonic() < until else None

    # Rights

    def bind(
        self, rules: Sequence[Rule], namespace: str | None = None, user: str = CONSOLE
    ) -> None:
        """Give rights; without a namespace, in all of them."""
        self._bindings.append(_Binding(user, namespace, rules))

    def unbind(self, user: str = CONSOLE) -> None:
        """Take all rights away."""
        self._bindings = [one for one in self._bindings if one.user != user]

    def forbid(self, resource: Resource, *verbs: str, namespace: str | None = None) -> None:
        """Refuse it whatever the rules are, until it is permitted."""
        self._forbidden |= {(verb, resource, namespace) for verb in verbs}

    def permit(self, resource: Resource, *verbs: str, namespace: str | None = None) -> None:
        self._forbidden -= {(verb, resource, namespace) for verb in verbs}

    def refusal(self, user: str, asked: Asked) -> str | None:
        """Return how the refusal reads; None where it is allowed."""
        if not self._is_forbidden(asked) and any(
            _allows(one, asked) for one in self._bindings if one.user == user
        ):
            return None
        what = "/".join(one for one in (asked.resource.plural, asked.subresource) if one)
        scope = "at the cluster scope"
        if asked.namespace is not None:
            scope = f'in the namespace "{asked.namespace}"'
        return (
            f'{asked.resource} is forbidden: User "{user}" cannot {asked.verb} resource "{what}" '
            f'in API group "{asked.resource.group}" {scope}'
        )

    def _is_forbidden(self, asked: Asked) -> bool:
        return any(
            (asked.verb, asked.resource, namespace) in self._forbidden
            for namespace in {None, asked.namespace}
        )


def _allows(binding: _Binding, asked: Asked) -> bool:
    if binding.namespace is not None and binding.namespace != asked.namespace:
        return False
    what = "/".join(one for one in (asked.resource.plural, asked.subresource) if one)
    return any(
        _has(rule["verbs"], asked.verb)
        and _has(rule["apiGroups"], asked.resource.group)
        and _has(rule["resources"], what)
        for rule in binding.rules
    )


def _has(words: Sequence[str], word: str) -> bool:
    return word in words or "*" in words
