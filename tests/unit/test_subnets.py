from ipaddress import IPv4Network

import pytest

from labgen import subnets
from labgen.errors import HostError, ProfileError

POOL = IPv4Network("10.77.0.0/16")


def test_the_first_free_one_is_chosen() -> None:
    assert subnets.choose(None, [], POOL) == "10.77.0.0/24"
    assert subnets.choose(None, ["10.77.0.0/24", "10.77.1.128/25"], POOL) == "10.77.2.0/24"


def test_a_host_address_counts_as_its_network() -> None:
    assert subnets.choose(None, ["10.77.0.1/255.255.255.0"], POOL) == "10.77.1.0/24"


def test_what_docker_uses_in_the_machines_is_never_chosen() -> None:
    with pytest.raises(HostError, match="no free /24"):
        subnets.choose(None, [], IPv4Network("172.17.0.0/16"))


def test_a_pool_can_be_used_up() -> None:
    with pytest.raises(HostError) as caught:
        subnets.choose(None, ["10.77.0.0/24"], IPv4Network("10.77.0.0/24"))
    assert "LABGEN_SUBNET_POOL" in caught.value.resolution


def test_a_wanted_subnet_is_taken_if_it_is_free() -> None:
    assert subnets.choose("192.0.2.0/24", ["10.0.0.0/24"], POOL) == "192.0.2.0/24"


@pytest.mark.parametrize("taken", [["10.5.5.0/24"], ["10.5.0.0/16"], ["10.5.5.64/26"]])
def test_a_wanted_subnet_that_overlaps_is_refused(taken: list[str]) -> None:
    with pytest.raises(ProfileError, match="overlaps"):
        subnets.choose("10.5.5.0/24", taken, POOL)


def test_a_wanted_subnet_inside_swarms_own_pool_is_refused() -> None:
    with pytest.raises(ProfileError, match="overlaps"):
        subnets.choose("10.201.7.0/24", [], POOL)


@pytest.mark.parametrize("value", ["rubbish", "10.0.0.1/16", "10.0.0.0/25"])
def test_a_wrong_pool_is_explained(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABGEN_SUBNET_POOL", value)
    with pytest.raises(HostError) as caught:
        subnets.pool()
    assert subnets.DEFAULT_POOL in caught.value.resolution


def test_the_kernels_table_is_read() -> None:
    table = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "br0\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert list(subnets._routes(table)) == ["0.0.0.0/0.0.0.0", "10.77.0.0/255.255.255.0"]
