"""The leases of the store: who has which addresses, and that nobody else does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import IntegrityError

from harness.store import FakeClock, OpenStore
from quix.store import Store
from quix.store.errors import AddressesExhaustedError
from quix.store.leases import QUARANTINE, Lease
from quix.store.tables import leases
from quix.vpn.pool import Pool

WIREGUARD = "wireguard"
SMALL = Pool("10.0.0.0/29", "fd00::/64")  # room for five
WIDE = Pool("10.1.0.0/22", "fd01::/64")


async def enrol(store: Store, number: int) -> list[str]:
    return [(await store.backends.create("ada", "192.0.2.1")).id for _ in range(number)]


async def claim_all(store: Store, backends: Sequence[str], pool: Pool) -> list[Lease]:
    return [await store.leases.claim(backend, WIREGUARD, pool) for backend in backends]


async def test_the_first_backend_gets_the_address_after_the_servers(store: Store, clock: FakeClock) -> None:
    (backend,) = await enrol(store, 1)
    lease = await store.leases.claim(backend, WIREGUARD, SMALL)
    assert lease == Lease(backend, WIREGUARD, "10.0.0.2", "fd00::2", None, clock.now, None)
    assert await store.leases.get(backend, WIREGUARD) == lease


async def test_asking_again_gives_the_same(store: Store, clock: FakeClock) -> None:
    backends = await enrol(store, 3)
    leases_ = await claim_all(store, backends, SMALL)
    clock.now += 10 * QUARANTINE
    assert await claim_all(store, backends, SMALL) == leases_


async def test_many_claims_at_once_from_two_servers(open_store: OpenStore) -> None:
    here, there = await open_store(), await open_store()
    backends = await enrol(here, 100)
    claims = [store.leases.claim(backend, WIREGUARD, WIDE) for backend in backends for store in (here, there, here)]
    made = await asyncio.gather(*claims)
    by_backend = {backend: {lease.address4 for lease in made if lease.backend_id == backend} for backend in backends}
    assert {len(addresses) for addresses in by_backend.values()} == {1}
    assert len({lease.address4 for lease in made}) == len({lease.address6 for lease in made}) == 100


async def test_claims_beyond_the_pool_are_refused_and_take_nothing(open_store: OpenStore) -> None:
    here, there = await open_store(), await open_store()
    backends = await enrol(here, 12)
    outcomes = await asyncio.gather(
        *((here, there)[number % 2].leases.claim(backend, WIREGUARD, SMALL) for number, backend in enumerate(backends)),
        return_exceptions=True,
    )
    made = [outcome for outcome in outcomes if isinstance(outcome, Lease)]
    assert {lease.address4 for lease in made} == {f"10.0.0.{number}" for number in range(2, 7)}
    assert sum(isinstance(outcome, AddressesExhaustedError) for outcome in outcomes) == 7
    for lease in made:
        assert await here.leases.claim(lease.backend_id, WIREGUARD, SMALL) == lease


async def test_the_database_itself_keeps_an_address_from_being_leased_twice(store: Store) -> None:
    first, second = await enrol(store, 2)
    await store.leases.claim(first, WIREGUARD, SMALL)
    row = {"conf_type": WIREGUARD, "issued_at": 0.0}
    twins = (
        {"backend_id": second, "address4": int(SMALL.pair(1)[0]), "address6": "fd00::9"},
        {"backend_id": second, "address4": int(SMALL.pair(2)[0]), "address6": "fd00::2"},
        {"backend_id": first, "address4": int(SMALL.pair(2)[0]), "address6": "fd00::9"},
    )
    for twin in twins:
        with pytest.raises(IntegrityError):
            async with store._database.write() as connection:
                await connection.execute(leases.insert().values(row | twin))


async def test_a_removed_backends_addresses_rest(store: Store, clock: FakeClock) -> None:
    *backends, late = await enrol(store, 6)
    taken = await claim_all(store, backends, SMALL)
    await store.backends.remove(backends[2])
    clock.now += QUARANTINE - 1
    with pytest.raises(AddressesExhaustedError):
        await store.leases.claim(late, WIREGUARD, SMALL)
    clock.now += 1
    lease = await store.leases.claim(late, WIREGUARD, SMALL)
    assert (lease.address4, lease.address6) == (taken[2].address4, taken[2].address6)
    assert (lease.public_key, lease.issued_at) == (None, clock.now)


async def test_fresh_addresses_come_before_those_that_somebody_had(store: Store, clock: FakeClock) -> None:
    backends = await enrol(store, 6)
    await claim_all(store, backends[:3], SMALL)
    await store.backends.remove(backends[0])
    clock.now += 2 * QUARANTINE
    later = await claim_all(store, backends[3:6], SMALL)
    assert [lease.address4 for lease in later] == ["10.0.0.5", "10.0.0.6", "10.0.0.2"]


async def test_every_gap_of_a_full_pool_is_found(store: Store, clock: FakeClock) -> None:
    backends = await enrol(store, 5)
    await claim_all(store, backends, SMALL)
    for gone in (backends[1], backends[2], backends[4]):
        await store.backends.remove(gone)
    clock.now += QUARANTINE
    fresh = await claim_all(store, await enrol(store, 3), SMALL)
    # The highest first, since it is above all that are in use.
    assert [lease.address4 for lease in fresh] == ["10.0.0.6", "10.0.0.3", "10.0.0.4"]
    with pytest.raises(AddressesExhaustedError):
        await claim_all(store, await enrol(store, 1), SMALL)


async def test_two_kinds_of_vpn_never_share_an_address(store: Store) -> None:
    (backend,) = await enrol(store, 1)
    first = await store.leases.claim(backend, WIREGUARD, SMALL)
    second = await store.leases.claim(backend, "openvpn", SMALL)
    assert first.address4 != second.address4
    assert first.address6 != second.address6
    assert [lease.conf_type for lease in await store.leases.page(None, 9)] == ["openvpn", WIREGUARD]


# -- revoking -------------------------------------------------------------------------------------


async def test_a_revoked_lease_keeps_its_addresses_and_not_its_key(store: Store, clock: FakeClock) -> None:
    first, second = await enrol(store, 2)
    lease = await store.leases.claim(first, WIREGUARD, SMALL)
    assert await store.leases.set_keys(first, WIREGUARD, "key") is True
    assert await store.leases.revoke(first, WIREGUARD) is True
    assert await store.leases.revoke(first, WIREGUARD) is False
    revoked_at = clock.now
    clock.now += 2 * QUARANTINE
    revoked = await store.leases.claim(first, WIREGUARD, SMALL)
    assert (revoked.revoked_at, revoked.public_key, revoked.address4) == (revoked_at, None, lease.address4)
    assert (await store.leases.claim(second, WIREGUARD, SMALL)).address4 != lease.address4
    assert await store.leases.restore(first, WIREGUARD) is True
    assert await store.leases.restore(first, WIREGUARD) is False
    assert await store.leases.claim(first, WIREGUARD, SMALL) == lease


async def test_no_key_is_kept_for_a_lease_that_is_not_in_force(store: Store) -> None:
    (backend,) = await enrol(store, 1)
    assert await store.leases.set_keys(backend, WIREGUARD, "key") is False
    await store.leases.claim(backend, WIREGUARD, SMALL)
    await store.leases.revoke(backend, WIREGUARD)
    assert await store.leases.set_keys(backend, WIREGUARD, "key") is False
    assert (await store.leases.claim(backend, WIREGUARD, SMALL)).public_key is None


async def test_revoking_what_is_not_leased(store: Store) -> None:
    (backend,) = await enrol(store, 1)
    assert await store.leases.revoke(backend, WIREGUARD) is False
    assert await store.leases.restore(backend, WIREGUARD) is False


# -- another pool ---------------------------------------------------------------------------------


async def test_another_pool_gives_new_addresses_once(store: Store) -> None:
    backends = await enrol(store, 3)
    await claim_all(store, backends, SMALL)
    moved = await claim_all(store, backends, WIDE)
    assert [lease.address4 for lease in moved] == ["10.1.0.2", "10.1.0.3", "10.1.0.4"]
    assert await claim_all(store, backends, WIDE) == moved


async def test_a_narrower_pool_whose_server_takes_an_address_of_a_backend(store: Store) -> None:
    backends = await enrol(store, 3)
    await claim_all(store, backends, Pool("10.2.0.0/24", "fd00::/64"))
    narrow = Pool("10.2.0.0/30", "fd00::/64")  # .1 is the server's, .2 the only one for a backend
    kept = await store.leases.claim(backends[0], WIREGUARD, narrow)
    assert kept.address4 == "10.2.0.2"
    with pytest.raises(AddressesExhaustedError):
        await store.leases.claim(backends[1], WIREGUARD, narrow)


async def test_a_pool_that_shares_its_ipv6_network_with_the_one_before(store: Store) -> None:
    backends = await enrol(store, 5)
    before = await claim_all(store, backends[:3], SMALL)
    other = Pool("10.3.0.0/24", "fd00::/64")
    lease = await store.leases.claim(backends[3], WIREGUARD, other)
    assert lease.address4.startswith("10.3.0.")
    assert lease.address6 not in {each.address6 for each in before}


async def test_a_revoked_lease_stays_revoked_in_another_pool(store: Store) -> None:
    (backend,) = await enrol(store, 1)
    await store.leases.claim(backend, WIREGUARD, SMALL)
    await store.leases.revoke(backend, WIREGUARD)
    assert (await store.leases.claim(backend, WIREGUARD, WIDE)).revoked_at is not None


async def test_pages_go_by_backend(store: Store, clock: FakeClock) -> None:
    backends = []
    for _ in range(5):
        clock.now += 1
        backends += await enrol(store, 1)
    await claim_all(store, [*reversed(backends)], SMALL)
    await store.backends.remove(backends[1])
    first = await store.leases.page(None, 2)
    second = await store.leases.page(first[-1].place, 9)
    assert [lease.backend_id for lease in first + second] == [backends[0], *backends[2:]]
