from ipaddress import IPv4Network

import pytest

from labgen import subnets
from labgen.errors import HostError, ProfileError
from labgen.subnets import Use

POOL = IPv4Network("10.77.0.0/16")


def taken(*networks: str) -> list[Use]:
    return [Use(IPv4Network(each), "the lab 'other'", lab=True) for each in networks]


def route(network: str) -> Use:
    return Use(IPv4Network(network), "a route through tun0", wide=True)


def own(network: str) -> Use:
    return Use(IPv4Network(network), "this host's own network on eth0")


def test_the_first_free_one_is_chosen() -> None:
    assert subnets.choose(None, [], POOL).subnet == "10.77.0.0/24"
    assert subnets.choose(None, taken("10.77.0.0/24", "10.77.1.128/25"), POOL).subnet == "10.77.2.0/24"


def test_what_docker_uses_in_the_machines_is_never_chosen() -> None:
    with pytest.raises(HostError, match="no free /24") as caught:
        subnets.choose(None, [], IPv4Network("172.17.0.0/16"))
    assert "172.17.0.0/16 (Docker's own networks in the machines)" in caught.value.details


def test_a_pool_can_be_used_up() -> None:
    with pytest.raises(HostError) as caught:
        subnets.choose(None, taken("10.77.0.0/24"), IPv4Network("10.77.0.0/24"))
    assert caught.value.details == "10.77.0.0/24 (the lab 'other')"
    assert "LABGEN_SUBNET_POOL=10.0.0.0/16" in caught.value.resolution
    assert "labgen list" in caught.value.resolution


def test_a_pool_that_many_share_names_the_largest() -> None:
    many = taken(*(f"10.77.{number}.0/24" for number in range(14)))
    with pytest.raises(HostError) as caught:
        subnets.choose(None, [*many, own("10.77.0.0/20")], IPv4Network("10.77.0.0/20"))
    lines = caught.value.details.splitlines()
    assert lines[0] == "10.77.0.0/20 (this host's own network on eth0)"
    assert lines[-1] == "... and 10 more"


def test_a_host_that_is_itself_in_the_pool_is_named_and_another_pool_works() -> None:
    with pytest.raises(HostError) as caught:
        subnets.choose(None, [own("10.0.0.0/8"), *taken("192.0.2.0/24")], POOL)
    assert "10.0.0.0/8 (this host's own network on eth0)" in caught.value.details
    assert "labgen list" not in caught.value.resolution, "no lab is in the way"
    suggested = IPv4Network(caught.value.resolution.split("LABGEN_SUBNET_POOL=")[1])
    assert subnets.choose(None, [own("10.0.0.0/8")], suggested).subnet == "172.16.0.0/24"


def test_where_no_other_pool_is_left_none_is_suggested() -> None:
    with pytest.raises(HostError) as caught:
        subnets.choose(None, [own("10.0.0.0/8"), own("172.16.0.0/12")], POOL)
    assert "LABGEN_SUBNET_POOL=" not in caught.value.resolution


@pytest.mark.parametrize("wide", ["10.0.0.0/8", "0.0.0.0/1", "10.77.0.0/16"])
def test_a_wide_route_elsewhere_only_loses_what_a_lab_takes(wide: str) -> None:
    choice = subnets.choose(None, [route(wide)], POOL)
    assert choice.subnet == "10.77.0.0/24"
    assert f"{wide}, a route through tun0" in choice.note
    assert "LABGEN_SUBNET_POOL" in choice.note


def test_what_no_route_covers_comes_first() -> None:
    choice = subnets.choose(None, [route("10.77.0.0/17"), *taken("10.77.128.0/24")], POOL)
    assert choice == subnets.Choice("10.77.129.0/24")


def test_a_suggested_pool_is_one_that_no_route_covers() -> None:
    with pytest.raises(HostError) as caught:
        subnets.choose(None, [own("10.77.0.0/16"), route("10.0.0.0/9")], POOL)
    assert "LABGEN_SUBNET_POOL=10.128.0.0/16" in caught.value.resolution


def test_a_wanted_subnet_is_taken_if_it_is_free() -> None:
    assert subnets.choose("192.0.2.0/24", taken("10.0.0.0/24"), POOL) == subnets.Choice("192.0.2.0/24")
    assert "10.0.0.0/8" in subnets.choose("10.5.5.0/24", [route("10.0.0.0/8")], POOL).note


@pytest.mark.parametrize("other", ["10.5.5.0/24", "10.5.0.0/16", "10.5.5.64/26"])
def test_a_wanted_subnet_that_overlaps_is_refused(other: str) -> None:
    with pytest.raises(ProfileError, match="overlaps") as caught:
        subnets.choose("10.5.5.0/24", taken(other), POOL)
    assert caught.value.details == f"{other} belongs to the lab 'other'"


def test_a_wanted_subnet_inside_swarms_own_pool_is_refused() -> None:
    with pytest.raises(ProfileError, match="overlaps"):
        subnets.choose("10.201.7.0/24", [], POOL)


@pytest.mark.parametrize("value", ["rubbish", "10.0.0.1/16", "10.0.0.0/25"])
def test_a_wrong_pool_is_explained(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABGEN_SUBNET_POOL", value)
    with pytest.raises(HostError) as caught:
        subnets.pool()
    assert subnets.DEFAULT_POOL in caught.value.resolution
