"""Profiles: the files that describe a lab.

    loaded = load("three-node-btrfs", ["nodes.worker.count=4"])
    loaded.profile.node_specs()                  # managers first, with everything that a group inherits
    loaded.warnings                              # sentences for the user
    dump(loaded.profile)                         # as resolved; loads back to an equal profile

The modules, in the order of the work:

    finder.py     a name or a path -> the file
    files.py      the file -> text, whatever the file turns out to be
    source.py     text -> plain data, each value with its line
    overrides.py  ``--set`` -> the same data, changed
    schema.py     plain data -> Profile; constraints.py and size.py define valid single values
    sentences.py  pydantic's errors -> labgen's
    rules.py      rules that involve several fields
    scripts.py    the guest scripts that a profile adds
    loader.py     all of the above
    dumper.py     Profile -> text
    differences.py  in which fields two profiles differ
    naming.py     a lab's name, by the same rules

Importing takes a quarter of a second, most of it for pydantic: commands import it when they run.
"""

from labgen.profile.differences import differences
from labgen.profile.dumper import dump
from labgen.profile.finder import find, shipped
from labgen.profile.loader import Loaded, load, parse
from labgen.profile.schema import NodeSpec, Profile, json_schema
from labgen.profile.scripts import read_script

__all__ = [
    "Loaded",
    "NodeSpec",
    "Profile",
    "differences",
    "dump",
    "find",
    "json_schema",
    "load",
    "parse",
    "read_script",
    "shipped",
]
