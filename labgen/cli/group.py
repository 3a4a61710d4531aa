"""Command groups that accept other tools' command names and suggest corrections."""

from collections.abc import Mapping

import click

from labgen.errors import UsageError
from labgen.suggestions import near

# Commands of Docker, Vagrant, virsh and git that do the same here. They are not shown in the help.
ALIASES: Mapping[str, Mapping[str, str]] = {
    "labgen": {
        "ls": "list",
        "rm": "destroy",
        "delete": "destroy",
        "remove": "destroy",
        "halt": "stop",
        "shutdown": "stop",
        "reboot": "restart",
        "snapshot": "checkpoint",
        "unpause": "resume",
    },
    "checkpoint": {"ls": "list", "rm": "delete", "remove": "delete", "create": "save"},
    "profile": {"ls": "list", "check": "validate"},
    "image": {"ls": "list"},
    "stack": {"ls": "list", "rm": "remove", "delete": "remove", "down": "remove", "ps": "list", "services": "list"},
    "box": {"ls": "list", "rm": "remove", "delete": "remove"},
}

# Commands that are ambiguous here, or have a different name: what to run instead.
INSTEAD: Mapping[str, Mapping[str, str]] = {
    "labgen": {
        "up": "'labgen create PROFILE' creates a lab, 'labgen start LAB' starts one that is stopped.",
        "run": "'labgen create PROFILE' creates a lab, 'labgen exec LAB -- COMMAND' runs a command in one.",
        "init": "'labgen create PROFILE' creates a lab; 'labgen profile show PROFILE' prints one to start from.",
        "down": "'labgen stop LAB' shuts a lab's machines down, 'labgen destroy LAB' removes the lab.",
        "reload": "'labgen restart LAB'",
        "pause": "'labgen suspend LAB' saves the machines' memory to disk, 'labgen resume LAB' resumes them.",
        "ps": "'labgen list' shows all labs, 'labgen status LAB' one lab's machines.",
        "show": "'labgen status LAB' shows a lab, 'labgen profile show PROFILE' a profile.",
        "inspect": "'labgen status LAB --format json'",
        "info": "'labgen status LAB' shows a lab, 'labgen doctor' checks this host.",
        "logs": "A lab's logs are in ~/.local/share/labgen/labs/LAB/logs, or in LABGEN_HOME/data/labs/LAB/logs; "
        "'labgen events LAB' shows its history, 'labgen stack logs LAB STACK' what containers print.",
        "services": "'labgen stack list LAB'",
        "stacks": "'labgen stack list [LAB]'",
        "service": "'labgen stack list LAB' shows services; other commands run on a manager: "
        "labgen exec LAB --node manager1 -- docker service ...",
        "shell": "'labgen ssh LAB [NODE]' logs in to a machine.",
        "attach": "'labgen ssh LAB [NODE]' logs in to a machine.",
        "cp": "'labgen ssh-config LAB' prints the SSH configuration for scp and rsync.",
        "scp": "'labgen ssh-config LAB' prints the SSH configuration for scp and rsync.",
        "save": "'labgen checkpoint save LAB' saves the state of a lab, 'labgen export LAB' writes it to a file.",
        "restore": "'labgen checkpoint restore LAB LABEL'",
        "load": "'labgen image load LAB FILE' brings a container image to a lab, 'labgen import FILE' imports a lab.",
        "validate": "'labgen profile validate FILE'",
        "build": "'labgen box build NAME' builds a box, 'labgen image build NAME' a container image.",
        "profiles": "'labgen profile list'",
        "images": "'labgen image list [LAB]' shows container images, 'labgen box list' the boxes.",
        "clean": "'labgen prune' removes leftovers that belong to no lab.",
        "uninstall": "'labgen prune --everything' removes everything that labgen has created; 'make uninstall' "
        "in the checkout also removes what was installed there.",
    },
}


class Group(click.Group):
    """Accepts the aliases; for an unknown command, suggests similar names or what to run instead."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word, *rest = args
        name = ALIASES.get(self.name or "", {}).get(word, word)
        # Completion must not fail, and click itself refuses unknown options.
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing and not word.startswith("-"):
            raise self._unknown(word, ctx)
        return super().resolve_command(ctx, [name, *rest])

    def _unknown(self, word: str, ctx: click.Context) -> UsageError:
        brief = f"there is no command {word!r}"
        if instead := INSTEAD.get(self.name or "", {}).get(word):
            return UsageError(brief, resolution=instead)
        return UsageError(brief, near(word, self.list_commands(ctx), "commands"), f"See: {ctx.command_path} --help")
