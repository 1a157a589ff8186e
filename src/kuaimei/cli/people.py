"""``kuaimei people``: accounts, their keys, and export or deletion of their data."""

import socket
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import typer

from kuaimei.cli import console
from kuaimei.cli.people_store import find_person, row_as_dict, with_store
from kuaimei.cli.personal_data import export, forget_person
from kuaimei.errors import Conflict
from kuaimei.people.keys import digest, new_key, prefix_of
from kuaimei.people.names import check_name
from kuaimei.server.https.hostnames import names_of
from kuaimei.settings import Settings, is_loopback
from kuaimei.store import Store
from kuaimei.store.keys import Key
from kuaimei.store.people import Person
from kuaimei.store.utterance_record import LOCAL

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="People: add, list, revoke, export, delete.")
app.command()(export)
app.command("forget")(forget_person)

_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - an address to print, not to bind
_SHOWN: Final = ("id", "name", "role", "keys", "sessions", "voices")

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Named = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the person.")]
Labelled = Annotated[str, typer.Option(help="What the key is for, such as a device.")]
Role = Annotated[
    Literal["member", "operator"],
    typer.Option(help="Operators see metrics and load; nobody sees another person's data."),
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the person.")],
    role: Role = "member",
    label: Labelled = "",
    as_json: AsJson = False,
) -> None:
    """Add a person and print their key; it is shown only once."""

    async def work(store: Store) -> tuple[Person, Key, str]:
        person = await store.people.add(check_name(name), role)
        return person, *await _given(store, person, label)

    _hand_over(with_store(work), as_json)


@app.command("list")
def list_people(as_json: AsJson = False) -> None:
    """List all people and how much data is stored for each."""

    async def work(store: Store) -> list[dict[str, Any]]:
        counts = {person: rest for person, *rest in await store.people.counts()}
        return [_about(person, counts.get(person.id, [0, 0, 0])) for person in await store.people.all()]

    found = with_store(work)
    if as_json:
        console.print_json({"people": found})
        return
    console.print_list(
        [*_SHOWN, "since"],
        [
            [*(_state(one) if name == "role" else one[name] for name in _SHOWN), one["created_at"][:10]]
            for one in found
        ],
    )


@app.command()
def me(as_json: AsJson = False) -> None:
    """Show the account of the machine key and how much data is stored for it."""

    async def work(store: Store) -> dict[str, Any]:
        counts = {person: rest for person, *rest in await store.people.counts()}
        return _about(await store.people.get(LOCAL), counts[LOCAL])

    found = with_store(work)
    if as_json:
        console.print_json(found)
    else:
        console.print_list([*_SHOWN], [[found[name] for name in _SHOWN]])


@app.command()
def keys(name: Named, as_json: AsJson = False) -> None:
    """List the keys of a person, including revoked ones."""

    async def work(store: Store) -> list[Key]:
        return list(await store.keys.all((await find_person(store, name)).id))

    found = with_store(work)
    if as_json:
        console.print_json({"keys": [row_as_dict(key) for key in found]})
        return
    console.print_list(
        ["id", "prefix", "label", "since", "last used", "revoked"],
        [
            [key.id, key.prefix, key.label, *map(_day, (key.created_at, key.last_used_at, key.revoked_at))]
            for key in found
        ],
        ids=("id", "prefix"),
    )


@app.command()
def key(name: Named, label: Labelled = "", as_json: AsJson = False) -> None:
    """Create another key for a person, for another device or to replace a key; it is shown only once."""

    async def work(store: Store) -> tuple[Person, Key, str]:
        person = await find_person(store, name)
        return person, *await _given(store, person, label)

    _hand_over(with_store(work), as_json)


@app.command()
def revoke(
    which: Annotated[
        str, typer.Argument(metavar="KEY", help="Id or prefix of the key, as listed by `keys`.")
    ],
    as_json: AsJson = False,
) -> None:
    """Revoke a key; connections that use it are closed at once."""

    async def work(store: Store) -> Key:
        return await store.keys.revoke(which)

    revoked = with_store(work)
    if as_json:
        console.print_json(row_as_dict(revoked))
    else:
        console.note(f"revoked: {revoked.id} ({revoked.prefix}…)")


@app.command("role")
def change_role(
    name: Named,
    role: Annotated[Literal["member", "operator"], typer.Argument(help="The new role.")],
    as_json: AsJson = False,
) -> None:
    """Make a person an operator or a member."""

    async def work(store: Store) -> Person:
        person = await find_person(store, name)
        if person.id == LOCAL:
            raise Conflict("the holder of the machine key is always an operator")
        return await store.people.change_role(person.id, role)

    changed = with_store(work)
    if as_json:
        console.print_json(row_as_dict(changed))
    else:
        console.note(f"{changed.name} is now {changed.role}")


@app.command()
def remove(name: Named) -> None:
    """Remove a person who has no stored data; all their keys are revoked."""

    async def work(store: Store) -> Person:
        person = await find_person(store, name)
        await store.people.remove(person.id)
        return person

    console.note(f"removed: {with_store(work).name}")


async def _given(store: Store, person: Person, label: str) -> tuple[Key, str]:
    if person.id == LOCAL:
        raise Conflict("the machine key is printed by: kuaimei key")
    made = new_key()
    label = check_name(label) if label else ""
    kept = await store.keys.add(person.id, sha256=digest(made), prefix=prefix_of(made), label=label)
    return kept, made


def _hand_over(given: tuple[Person, Key, str], as_json: bool) -> None:
    person, kept, made = given
    address = f"{_address(console.settings_from())}/#key={made}"
    if as_json:
        key = {**row_as_dict(kept), "text": made}
        console.print_json({"person": row_as_dict(person), "key": key, "address": address})
        return
    console.note(f"Key of {person.name} ({person.role}), shown only once:")
    typer.echo(made)
    console.note(f"Send this address over a channel that only they can read: {address}")


def _address(settings: Settings) -> str:
    """Return the URL under which people reach the server, as far as the settings tell."""
    server = settings.server
    for host in server.allowed_hosts:
        if "://" in host:
            return host
        if not is_loopback(host):
            return f"https://{host}"
    if server.https:
        # A name or an address that the certificate covers.
        names = names_of(server)
        return f"https://{(*names.hosts, *map(str, names.addresses))[0]}:{server.port}"
    host = socket.gethostname() if server.host in _EVERYWHERE else server.host
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{server.port}"


def _about(person: Person, counts: list[int]) -> dict[str, Any]:
    sessions, voices, valid = counts
    return {**row_as_dict(person), "keys": valid, "sessions": sessions, "voices": voices}


def _state(one: dict[str, Any]) -> str:
    return f"{one['role']}, being deleted" if one["forgetting"] else str(one["role"])


def _day(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d}"
