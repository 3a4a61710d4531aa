"""The fields of a load balancer: its program, and the ports that it publishes."""

import re
from ipaddress import IPv4Network
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_serializer, model_validator
from pydantic_core import CoreSchema, core_schema
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from labgen.balancers import BALANCERS
from labgen.model import Algorithm, Balancer, Protocol, Publish, Route, Sticky
from labgen.profile.constraints import Constraint, OneOf, Pattern, Switch, Whole, complaint, text
from labgen.profile.problems import shown
from labgen.profile.section import Section

MOST_PORTS = 20
MOST_ROUTES = 50
PROTOCOLS: tuple[Protocol, ...] = ("http", "https", "tcp", "udp")
STICKY: tuple[Sticky, ...] = ("cookie", "address")
ALGORITHMS: tuple[Algorithm, ...] = ("round-robin", "least-connections")

Port = Whole(1, 65535)
ServiceName = Pattern(
    r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?(:[0-9]{1,5})?",
    "a service",
    "write it like shop_web, or shop_web:8081 if it publishes several ports",
    longest=100,
)
HostName = Pattern(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*",
    "a host name",
    "use a-z, 0-9, '-' and '.', e.g. staff.lab",
    longest=100,
)
Target = Pattern(
    r"(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?)?/[A-Za-z0-9._~/-]*",
    "a path or a URL",
    "write it like /app1/ or https://example.org/, without a query",
    longest=200,
)
UserName = Pattern(r"[A-Za-z0-9._-]+", "a user's name", "use letters, digits and '.', '_', '-'", longest=40)


class WebPath(Constraint):
    """The beginning of a URL's path. A slash at its end makes no difference, and is not kept."""

    pattern = r"/[A-Za-z0-9._~/-]*"
    longest = 100

    def check(self, value: object) -> str:
        given = text(value)
        if not given.startswith("/"):
            raise complaint(f"{shown(given)} is not a path; did you mean {shown('/' + given)}?")
        if not re.fullmatch(self.pattern, given, re.ASCII) or len(given) > self.longest:
            allowed = f"letters, digits and '.', '_', '~', '-', '/', at most {self.longest} characters"
            raise complaint(f"{shown(given)} is not a path: {allowed}")
        path = given.rstrip("/") or "/"
        if "//" in path or {".", ".."} & set(path.split("/")):
            raise complaint(f"{shown(given)} is not a path that a browser sends: no '//', no '/./', no '/../'")
        return path

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.pattern}$", "maxLength": self.longest, "examples": ["/app1"]}


class NetworkOrAddress(Constraint):
    """An IPv4 network in CIDR notation, or one address."""

    def check(self, value: object) -> str:
        given = text(value)
        try:
            network = IPv4Network(given, strict=False)
        except ValueError as error:
            raise complaint(f"{shown(given)} is not an IPv4 network; write it like 10.0.0.0/8") from error
        if "/" in given and str(network) != given:
            raise complaint(f"{shown(given)} is not a network's own address; did you mean '{network}'?")
        return given

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?$"}


class PasswordHash(Constraint):
    """A password's hash as crypt(3) makes it. Profiles are handed around: passwords have no place there."""

    pattern = r"\$[56]\$(rounds=[0-9]{4,9}\$)?[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]{43,86}"

    def check(self, value: object) -> str:
        given = text(value)
        if not re.fullmatch(self.pattern, given, re.ASCII):  # the value may be a password, and is not shown
            raise complaint("is not the hash of a password ($5$... or $6$...); make one with: openssl passwd -6")
        return given

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.pattern}$"}


class OrPort:
    """In place of a mapping, just the port's number."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [Port.json_schema(), handler(schema)]}


class Given:
    """For a section that may be left out, but not empty."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def refuse_nothing(value: object) -> object:
            if value is None:
                raise complaint("must not be empty, e.g. balancer: {program: nginx, publish: [80]}")
            return value

        return core_schema.no_info_before_validator_function(refuse_nothing, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return next(each for each in handler(schema)["anyOf"] if each.get("type") != "null")


class _Short(Section):
    """Written without the fields that have their defaults."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {key: value for key, value in handler(self).items() if getattr(self, key) != fields[key].default}


class RouteFields(_Short):
    """Where some of a port's requests go; the most specific route counts."""

    service: Annotated[str | None, ServiceName] = Field(
        default=None,
        description="STACK_SERVICE, or STACK_SERVICE:PORT if it publishes several ports.",
        examples=["shop_web"],
    )
    path: Annotated[str, WebPath()] = Field(
        default="/", description="The beginning of the path; the service does not see it.", examples=["/app1"]
    )
    host: Annotated[str | None, HostName] = Field(
        default=None, description="The host name in the request.", examples=["staff.lab"]
    )
    rewrite: Annotated[str | None, WebPath()] = Field(
        default=None,
        description="What the service sees in place of the path; the path itself keeps it.",
        examples=["/"],
    )
    redirect: Annotated[str | None, Target] = Field(
        default=None, description="In place of a service: where clients are sent.", examples=["/app1/"]
    )

    def settings(self) -> Route:
        path = self.path.rstrip("/")
        return Route(self.service or "", path, self.host or "", (self.rewrite or "").rstrip("/"), self.redirect or "")


class Access(_Short):
    """Who gets in; with both fields, only users who log in from the networks."""

    allow: Annotated[tuple[Annotated[str, NetworkOrAddress()], ...], Field(max_length=50)] = Field(
        default=(), description="IPv4 networks or addresses; all others are refused.", examples=[["10.0.0.0/8"]]
    )
    users: Annotated[dict[Annotated[str, UserName], Annotated[str, PasswordHash()]], Field(max_length=50)] = Field(
        default={}, description="Users who have to log in, with their passwords' hashes: openssl passwd -6."
    )


class PublishFields(_Short):
    """A port of the load balancer. Just its number: http, to the only service that publishes a port."""

    port: Annotated[int, Port] = Field(description="Where clients connect.", examples=[80])
    protocol: Annotated[Protocol | None, OneOf("a protocol", lambda: PROTOCOLS)] = Field(
        default=None, description="What clients speak (default: http, or tcp if the program knows no http)."
    )
    service: Annotated[str | None, ServiceName] = Field(
        default=None, description="Where all requests go: STACK_SERVICE or STACK_SERVICE:PORT.", examples=["shop_web"]
    )
    routes: Annotated[tuple[RouteFields, ...], Field(max_length=MOST_ROUTES)] = Field(
        default=(),
        description="Where requests go, by path and host.",
        examples=[[{"path": "/a", "service": "a_web"}]],
    )
    direct: Annotated[bool, Switch()] = Field(
        default=False, description="Go to the tasks themselves, whose ports have 'mode: host', not through the mesh."
    )
    sticky: Annotated[Sticky | None, OneOf("a way to stay", lambda: STICKY)] = Field(
        default=None, description="How a client stays with its backend."
    )
    algorithm: Annotated[Algorithm, OneOf("an algorithm", lambda: ALGORITHMS)] = Field(
        default="round-robin", description="How a backend is chosen."
    )
    access: Access = Field(default=Access(), description="Who gets in.")
    redirect_from: Annotated[int | None, Port] = Field(
        default=None, description="With https: a port on which http is redirected to this one.", examples=[80]
    )
    proxy_protocol: Annotated[bool, Switch()] = Field(
        default=False, description="Tell the backends the client's address by the PROXY protocol."
    )
    check: Annotated[str | None, WebPath()] = Field(
        default=None,
        description="The path that the balancer itself requests from every backend.",
        examples=["/health"],
    )
    anonymous: Annotated[bool, Switch()] = Field(
        default=False, description="Leave out the headers X-Balancer and X-Backend, which say who answered."
    )

    @model_validator(mode="before")
    @classmethod
    def _just_a_port(cls, value: Any) -> Any:
        return {"port": value} if isinstance(value, int) and not isinstance(value, bool) else value

    def spoken(self, program: str) -> Protocol:
        """The protocol, also if it is not given."""
        return self.protocol or ("http" if "http" in BALANCERS[program].can else "tcp")

    def settings(self, program: str) -> Publish:
        routes = tuple(each.settings() for each in self.routes) or (Route(self.service or ""),)
        return Publish(
            port=self.port,
            protocol=self.spoken(program),
            routes=routes,
            direct=self.direct,
            sticky=self.sticky or "",
            algorithm=self.algorithm,
            allow=self.access.allow,
            users=dict(self.access.users),
            redirect_from=self.redirect_from or 0,
            proxy_protocol=self.proxy_protocol,
            check=self.check or "",
            anonymous=self.anonymous,
        )


class BalancerFields(Section):
    """What a machine of kind balancer does."""

    program: Annotated[str, OneOf("a program", lambda: BALANCERS)] = Field(
        description="What balances the load.", examples=["nginx"]
    )
    publish: Annotated[tuple[Annotated[PublishFields, OrPort()], ...], Field(min_length=1, max_length=MOST_PORTS)] = (
        Field(description="The ports where clients connect.", examples=[[80]])
    )
    statistics: Annotated[int | None, Port] = Field(
        default=None,
        description="The port of the program's page of statistics, for the lab's network.",
        examples=[8404],
    )

    def settings(self) -> Balancer:
        publish = tuple(each.settings(self.program) for each in self.publish)
        return Balancer(self.program, publish, self.statistics or 0)
