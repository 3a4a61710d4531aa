"""Images that a compose file builds: once, by the manager's Docker.

Then they are pushed to the lab's registry, from which the nodes pull them; without one, they are brought to the nodes
that may run them.
"""

import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from labgen import images
from labgen.engine import SwarmNode
from labgen.errors import ClusterError
from labgen.progress import Amount, Progress
from labgen.services import bringing
from labgen.services.cluster import Cluster
from labgen.services.delivery import DOCKER, IN_MEMORY, fed
from labgen.services.placement import eligible
from labgen.stacks import ComposeFile, StackService
from labgen.stacks.compose import Build
from labgen.stacks.parcel import CONTEXT, ENVIRONMENT, pack_context

# $1: the image's name. $2: the Dockerfile, below the context. The others: options. Standard input: the context.
BUILD = f"""
umask 077
name=$1 dockerfile=$2
shift 2
where=$(mktemp -d) || exit
trap 'rm -rf "$where"' EXIT
trap 'exit 1' HUP INT TERM
tar -x --numeric-owner -C "$where" || exit
(
    . "$where/{ENVIRONMENT}"
    exec {DOCKER} build --tag "$name" --file "$where/{CONTEXT}/$dockerfile" "$@" "$where/{CONTEXT}" 2>&1
)
"""
STEP = re.compile(r"(?:Step \d+/\d+ : |#\d+ \[[^\]]*\d+/\d+\] )(?P<what>.*)")  # of the old builder, and of BuildKit
SHOWN = 60  # characters of a step
TAIL = 15  # lines


@dataclass(frozen=True)
class Builder:
    """:param nodes: of the cluster."""

    compose: ComposeFile
    stack: str
    nodes: Sequence[SwarmNode]
    there: Cluster
    progress: Progress

    def built(self) -> ComposeFile:
        """The compose file, with the names of the images that were built.

        An image's name ends with its id: a changed one has another name, so that Swarm updates the service, and can
        roll back to the former one, which the nodes keep.

        :raises ClusterError: an image cannot be built. :raises StackError: its files cannot be read.
        """
        names = {service.name: self._name(service) for service in self.compose.services}
        builds = {names[service.name]: service.build for service in self.compose.services if service.build}
        versions = {name: self._version(self._place(name), build) for name, build in builds.items()}
        services = (
            replace(service, image=versions[names[service.name]], is_built=True)
            if names[service.name] in versions
            else service
            for service in self.compose.services
        )
        built = replace(self.compose, services=tuple(services))
        for name, version in versions.items():
            if self.there.lab.registry:
                self._push(self._place(name))
                self._push(version)
            else:
                self._bring(version, [service for service in built.services if service.image == version])
        return built

    def _name(self, service: StackService) -> str:
        return service.image or f"localhost/{self.stack}-{service.name.lower()}:latest"

    def _place(self, name: str) -> str:
        """An image's name where the nodes get it."""
        registry = self.there.lab.registry_name
        return images.in_registry(name, registry) if registry else name

    def _version(self, name: str, build: Build) -> str:
        """Builds an image, and returns the name of what came out."""
        self._build(name, build)
        identity = self.there.engine.image_id(name)
        version = f"{name}-{identity.removeprefix('sha256:')[:12]}"
        self.there.engine.name_image(identity, version)
        return version

    def _push(self, image: str) -> None:
        """To the lab's registry."""
        registry, name = self.there.lab.registry_name, self.there.lab.name
        text, manager, told = f"pushing {image}", self.there.manager.target.name, 0.0
        self._step(text, "push-image")
        try:
            for sent, total in self.there.engine.push_image(image):
                if time.monotonic() - told >= Amount.INTERVAL:
                    self.progress.moved(text, sent if told else 0, total, manager, stage="push-image")
                    told = time.monotonic()
        except ClusterError as error:
            raise ClusterError(
                f"the image {image} cannot be pushed to the lab's registry",
                error.details,
                f"Check whether {registry} answers: labgen status {name} --check",
            ) from error

    def _bring(self, image: str, services: Sequence[StackService]) -> None:
        """To all running nodes that may run one of the services; the manager has it."""
        places = [node.hostname for service in services for node in eligible(self.nodes, service.constraints)]
        bringing.from_manager(image, places, self.there, self.progress)

    def _build(self, name: str, build: Build) -> None:
        manager = self.there.manager
        self._step(f"building {name}")

        def hear(line: str) -> None:
            if step := STEP.match(line):
                self._step(f"building {name}: {step['what'][:SHOWN]}")

        options = ["--target", build.target] if build.target else []
        options += [word for argument in build.arguments for word in ("--build-arg", argument)]
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as parcel:
            pack_context(self.compose, build, parcel)
            command = ["sudo", "-n", "sh", "-c", BUILD, "sh", name, build.dockerfile, *options]
            result = fed(manager, command, parcel, self.progress, hear)
        if result.status:
            lab = self.there.lab.name
            raise ClusterError(
                f"the image {name} cannot be built",
                "\n".join(result.stdout.strip().splitlines()[-TAIL:]) or result.tail,
                f"If an image that it starts FROM is missing, bring it: labgen image load {lab} IMAGE|FILE",
            )

    def _step(self, text: str, stage: str = "build-image") -> None:
        self.progress.step(text, self.there.manager.target.name, stage=stage)
