"""The table of API operations, registered with `@operation`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from saas_sandbox.stripe.engine.resource import Resource

Handler = Callable[..., Resource]


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    shape: Any
    handle: Handler


OPERATIONS: list[Operation] = []


def operation(method: str, path: str, shape: Any) -> Callable[[Handler], Handler]:
    """Register a function for `method /v1path`; `shape` is the SDK's TypedDict of parameters."""

    def register(handle: Handler) -> Handler:
        OPERATIONS.append(Operation(method, path, shape, handle))
        return handle

    return register
