"""Listeners of a broker: its own, that of its controller, and one for each proxy in front of it."""

from collections.abc import Mapping, Sequence

from embedded.properties import HOST


def listener_properties(
    port: int, controller: int | None, wires: Sequence[tuple[int, int]]
) -> Mapping[str, str]:
    """Return the properties. `wires`: the port of each proxy, and the port of the broker behind it. `controller`: None: it is none.

    The broker tells a client the address of its proxy, so that one client's connections can be cut alone.
    """
    named = {f"WIRE{number}": wire for number, wire in enumerate(wires)}
    own = f"PLAINTEXT://{HOST}:{port}"
    control = [] if controller is None else [f"CONTROLLER://{HOST}:{controller}"]
    inside = [f"{name}://{HOST}:{behind}" for name, (_, behind) in named.items()]
    outside = [f"{name}://{HOST}:{proxy}" for name, (proxy, _) in named.items()]
    protocols = (f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *named))
    return {
        "listeners": ",".join([own, *control, *inside]),
        "advertised.listeners": ",".join([own, *outside]),
        "listener.security.protocol.map": ",".join(protocols),
        "inter.broker.listener.name": "PLAINTEXT",
    }
