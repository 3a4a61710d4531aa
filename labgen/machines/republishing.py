"""Another profile for a lab's load balancers; everything else of the lab stays as it is."""

import re
from dataclasses import replace

from labgen import paths
from labgen.errors import UsageError
from labgen.files import read_text
from labgen.machines.opened import Opened
from labgen.model import Lab
from labgen.profile import Loaded, differences, dump, parse
from labgen.render import write

# What may be different: a lab has its name and machines from the profile that it was created from.
MAY_DIFFER = re.compile(r"(name|description|nodes\.[^.]+\.balancer\.(publish|statistics))\b")


def republished(lab: Lab, loaded: Loaded) -> Lab:
    """The lab with what its balancers publish according to a profile.

    :raises UsageError: the profile differs in something else.
    """
    recorded = parse(read_text(paths.lab(lab.name) / paths.PROFILE), lab.name).profile
    if others := [line for line in differences(recorded, loaded.profile) if not MAY_DIFFER.match(line)]:
        raise UsageError(
            f"only what a balancer publishes can be changed in {lab.name!r}, and the profile differs in more",
            "\n".join(others),
            "For another program, or other machines, create a lab.",
        )
    settings = {spec.name: spec.balancer for spec in loaded.profile.node_specs()}
    return replace(lab, nodes=tuple(replace(node, balancer=settings[node.name]) for node in lab.nodes))


def keep(opened: Opened, lab: Lab, loaded: Loaded) -> None:
    """Records a lab that was republished. :param opened: as it was."""
    directory = paths.lab(lab.name)
    recorded = parse(read_text(directory / paths.PROFILE), lab.name).profile
    profile = loaded.profile.model_copy(update={"name": recorded.name, "description": recorded.description})
    write({paths.PROFILE: dump(profile)}, directory)
    opened.save(replace(opened.journal, lab=lab))
