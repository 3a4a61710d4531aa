"""Docker engines in the machines. The only importer of the docker SDK."""

from labgen.engine.connection import connect
from labgen.engine.engine import Engine
from labgen.engine.facts import EngineImage, EngineInfo, JoinTokens, SwarmNode
from labgen.engine.inspected import STACK
from labgen.engine.services import Port, Resources, Service, Stored, Task

__all__ = [
    "STACK",
    "Engine",
    "EngineImage",
    "EngineInfo",
    "JoinTokens",
    "Port",
    "Resources",
    "Service",
    "Stored",
    "SwarmNode",
    "Task",
    "connect",
]
