"""Who is let in, asked of `Authentication` alone."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from kuaimei.people.authentication import Authentication
from kuaimei.people.caller import OPEN
from kuaimei.people.keys import new_key
from kuaimei.people.machine_key import FILE, ensure_machine_key
from kuaimei.people.names import NameRefused
from kuaimei.settings import ServerSettings, Settings
from tests.support.server.belongings import MemoryKeys, MemoryPeople

KEY = "a-key-of-some-length"


@pytest.fixture
def people() -> MemoryPeople:
    return MemoryPeople()


@pytest.fixture
def keys(people: MemoryPeople) -> MemoryKeys:
    return MemoryKeys(people)


async def test_each_way_in(people: MemoryPeople, keys: MemoryKeys) -> None:
    machine = new_key()
    authentication = Authentication(ServerSettings(api_key=SecretStr(KEY)), machine)
    anna = await people.add("anna")
    own = await keys.give(anna)
    assert authentication.identify(own) is None  # nobody has told of people yet
    async with authentication.following(people, keys):
        for shown, way in (
            (KEY, ("local", "operator", "api_key")),
            (machine, ("local", "operator", "machine_key")),
            (own, (anna.id, "member", "key")),
            (own.upper(), (anna.id, "member", "key")),
        ):
            caller = authentication.identify(shown)
            assert caller is not None
            assert (caller.person, caller.role, caller.via) == way
        assert [authentication.identify(shown) for shown in ("", "none", new_key())] == [None] * 3
    assert Authentication(ServerSettings(open=True)).identify("whatever") == OPEN


async def test_a_proxy_names_members_also_where_nothing_is_kept(
    people: MemoryPeople, keys: MemoryKeys
) -> None:
    authentication = Authentication(ServerSettings())
    async with authentication.following(None, None):
        one, again = await authentication.named("anna"), await authentication.named(" anna ")
        assert one == again
        assert (one.role, one.via, one.person[:7]) == ("member", "proxy", "person_")
        assert (await authentication.named("ben")).person != one.person
        with pytest.raises(NameRefused):
            await authentication.named("local")
    async with authentication.following(people, keys):
        assert (await authentication.named("anna")).person in people.kept


async def test_somebody_who_may_not_stay_is_told_even_if_that_was_before(
    people: MemoryPeople, keys: MemoryKeys
) -> None:
    authentication = Authentication(ServerSettings())
    key = await keys.give(await people.add("anna"))
    async with authentication.following(people, keys):
        caller = authentication.identify(key)
        assert caller is not None
        with authentication.staying(caller) as ended:
            assert not ended.is_set()
            keys.take(caller.key)
            await ended.wait()
        with authentication.staying(caller) as ended:  # let in a moment before, and not yet staying then
            assert ended.is_set()
        assert not authentication._stays


@pytest.mark.parametrize(
    ("given", "made"), [({}, True), ({"api_key": SecretStr(KEY)}, False), ({"open": True}, False)]
)
def test_a_key_is_made_where_there_is_no_other_way_in(
    tmp_path: Path, given: dict[str, object], made: bool
) -> None:
    Authentication.of_machine(Settings(home=tmp_path, server=ServerSettings.model_validate(given)))
    assert (tmp_path / FILE).exists() == made


def test_a_key_that_is_there_lets_in_beside_a_configured_one_and_not_where_none_is_asked_for(
    tmp_path: Path,
) -> None:
    key = ensure_machine_key(tmp_path)
    both = Authentication.of_machine(Settings(home=tmp_path, server=ServerSettings(api_key=SecretStr(KEY))))
    found = [both.identify(shown) for shown in (key, KEY)]
    assert [caller and caller.via for caller in found] == ["machine_key", "api_key"]
