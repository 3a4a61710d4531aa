"""Planned labs for tests."""

from labgen.model import Box, Lab
from labgen.plan import plan
from labgen.profile import load
from labgen.records import data_home

BOX = Box("debian13", "labgen/debian13", "13.4.2891034581")


def planned(name: str = "lab", reference: str = "three-node-btrfs", subnet: str = "10.77.0.0/24") -> Lab:
    profile = load(reference).profile
    return plan(profile, name, subnet=subnet, box=BOX, accelerator="tcg", owner=data_home.owner())
