"""What ``create`` decides before it touches anything, and ``create --dry-run`` prints."""

from pathlib import Path

from labgen import accelerator, boxes, paths, registry, state, subnets
from labgen.errors import UsageError
from labgen.model import Accelerator, Box, Lab
from labgen.plan import guest_file, plan
from labgen.profile import Loaded, dump, read_script
from labgen.render import render


def preview(loaded: Loaded, name: str) -> tuple[Lab, dict[str, str]]:
    """The plan and the files that ``create`` would make; nothing on the host changes."""
    if state.exists(name):
        lab = state.load(name).lab
    else:
        lab = decide(loaded, name, free_subnet(loaded, registry.load(), []), accelerator.probe().kind, _box(loaded))
    return lab, files(loaded, lab, paths.lab(name))


def files(loaded: Loaded, lab: Lab, directory: Path) -> dict[str, str]:
    """The rendered files of a lab that will lie in ``directory``."""
    scripts = {guest_file(script): read_script(path) for script, path in loaded.scripts.items()}
    return render(lab, directory, dump(loaded.profile), scripts)


def decide(loaded: Loaded, name: str, subnet: str, kind: Accelerator, box: "boxes.Box | Box") -> Lab:
    chosen = Box(box.name, box.vagrant_name, box.version)
    return plan(loaded.profile, name, subnet=subnet, box=chosen, accelerator=kind, owner=paths.owner())


def _box(loaded: Loaded) -> Box:
    """The box as far as it is known without building it."""
    built = boxes.find(loaded.profile.box)
    name = loaded.profile.box
    return Box(name, f"labgen/{name}", built.version if built else "0")


def free_subnet(loaded: Loaded, known: registry.Registry, taken: list[str]) -> str:
    used = [*known.subnets.values(), *taken, *subnets.host_subnets()]
    wanted = loaded.profile.network.subnet
    return subnets.choose(str(wanted) if wanted else None, used, subnets.pool())


def refuse_another_profile(loaded: Loaded, name: str) -> None:
    """A lab is what its first profile said; another profile under the same name is a mistake.

    :raises UsageError: the lab is there and was made from something else.
    """
    if not state.exists(name):
        return
    recorded = paths.lab(name) / paths.PROFILE
    if recorded.exists() and recorded.read_text() != dump(loaded.profile):
        raise UsageError(
            f"there is a lab called {name!r} already, made from another profile",
            f"as resolved then: {recorded}",
            f"Choose another name with --name, or remove it first: labgen destroy {name}",
        )
