"""The settings in a Vagrantfile, as far as its lines show them: it is a program, and is not run for this.

Vagrant merges the Vagrantfile in its home with a project's. If both assign a setting, the project's value applies;
settings that a call adds, such as a synced folder or a provisioner, apply from both.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from labgen import paths

PROVIDER = "libvirt"
_COMMENT = re.compile(r"(^|\s)#(?!\{).*")
# Where a block's variable is bound, e.g.: config.vm.provider :libvirt do |domain, override|
_BLOCK = re.compile(
    r"\.(?P<what>configure|define|provider)\b[\s(]*:?['\"]?(?P<name>\w*).*\|\s*(?P<variables>\w[\w\s,]*)\|"
)
_SETTING = re.compile(r"\b(?P<variable>\w+)\.(?P<name>\w+(\.\w+)?)\b(?!\s*==)(?P<assigned>\s*(\|\|)?=(?![=~>]))?")
_VARIABLE = re.compile(r"\bENV\[['\"](?P<name>\w+)['\"]\]\s*(\|\|)?=(?![=~])")
_STRUCTURE = {"vm.define", "vm.provider"}  # only the settings in their blocks count


@dataclass(frozen=True)
class Settings:
    """Names as in the documentation, such as ``vm.synced_folder`` or ``libvirt.memory``.

    :param added: by calls, possibly several times. :param assigned: settings with a single value.
    """

    added: frozenset[str]
    assigned: frozenset[str]


def read(text: str) -> Settings:
    """Reads the settings for machines of any provider and of libvirt. Pure."""
    found = list(_settings(text))
    return Settings(
        frozenset(name for name, assigned in found if not assigned),
        frozenset(name for name, assigned in found if assigned),
    )


def aside() -> str:
    """How the user's own Vagrantfile affects labs, as the end of a sentence about Vagrant; empty without one."""
    own = paths.vagrant_home() / "Vagrantfile"
    try:
        theirs = read(own.read_text(errors="replace"))
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"; {own} cannot be read: {error.strerror}"
    labs = read(paths.vagrantfile_template().read_text())
    told = {
        "takes effect there": theirs.added | theirs.assigned - labs.assigned,
        "overridden by the lab": theirs.assigned & labs.assigned,
    }
    what = [f"{how}: {', '.join(sorted(names))}" for how, names in told.items() if names]
    return "; ".join([f"; labgen ignores {own}, plain vagrant in a lab's directory does not", *what])


def _settings(text: str) -> Iterator[tuple[str, bool]]:
    scopes = {"config": "config"}
    for line in text.splitlines():
        code = _COMMENT.sub("", line)
        for each in _VARIABLE.finditer(code):
            yield f"ENV['{each['name']}']", False
        if block := _BLOCK.search(code):
            first, *others = block["variables"].replace(" ", "").split(",")
            scopes |= {first: block["name"] if block["what"] == "provider" else "config"}
            scopes |= dict.fromkeys(others, "config")
        for each in _SETTING.finditer(code):
            match scopes.get(each["variable"]), each["name"].split("."):
                case "config", [_, _] if each["name"] not in _STRUCTURE:
                    yield each["name"], bool(each["assigned"])
                case str(scope), [name, *_] if scope == PROVIDER:
                    yield f"{PROVIDER}.{name}", bool(each["assigned"])
