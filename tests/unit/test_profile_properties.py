"""Properties: a written profile loads back to an equal one, and no text does worse than to be refused."""

import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labgen.errors import ProfileError, UsageError
from labgen.profile import Loaded, dump, parse
from labgen.profile.size import Size

ALNUM = string.ascii_lowercase + string.digits
words = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
label_keys = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,12}[A-Za-z0-9])?", fullmatch=True)
label_values = st.from_regex(r"[A-Za-z0-9._/-]{1,12}", fullmatch=True)
labels = st.dictionaries(label_keys, label_values, max_size=4)
lines = st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"]) | st.just(" "), max_size=60)
scripts = st.lists(
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,8}(/[a-z_]{1,4})?", fullmatch=True), unique=True, max_size=3
)
gib = st.integers(10, 2048).map("{} GiB".format)
memory = st.integers(512, 262144).map("{}MiB".format)
resources = st.fixed_dictionaries({}, optional={"cpus": st.integers(1, 64), "memory": memory, "disk": gib})


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, object]:
    names = draw(st.lists(words, min_size=1, max_size=4, unique=True))
    optional = {
        "resources": resources,
        "labels": labels,
        "storage": st.fixed_dictionaries({}, optional={"size": gib}),
    }
    group = st.fixed_dictionaries({"count": st.integers(1, 9), "role": st.just("manager")}, optional=optional)
    top = {
        "description": lines,
        "box": words,
        "resources": resources,
        "storage": st.fixed_dictionaries({"driver": st.sampled_from(["btrfs", "overlay2"])}, optional={"size": gib}),
        "orchestrator": st.sampled_from(["swarm", "none"]),
        "network": st.integers(0, 200).map(lambda byte: {"subnet": f"10.{byte}.7.0/24"}),
        "labels": labels,
        "provision": scripts,
    }
    nodes = st.fixed_dictionaries(dict.fromkeys(names, group))
    return draw(st.fixed_dictionaries({"name": words, "nodes": nodes}, optional=top))


def text_of(data: dict[str, object]) -> str:
    """JSON is YAML, unless it writes one character as two escapes."""
    import json

    return json.dumps(data, ensure_ascii=False)


@given(profiles())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_dumped_loads_back(data: dict[str, object]) -> None:
    try:
        profile = parse(text_of(data), "generated").profile
    except ProfileError as error:
        assert "has a node" in error.details or "too many" in error.details, error.details
        return
    text = dump(profile)
    assert parse(text, "dumped").profile == profile
    assert dump(parse(text, "dumped").profile) == text


def outcome(text: str, overrides: tuple[str, ...] = ()) -> None:
    try:
        assert isinstance(parse(text, "fuzzed", overrides=overrides), Loaded)
    except (ProfileError, UsageError) as error:
        assert overrides or isinstance(error, ProfileError)
        shown = error.brief + error.details.replace("\n", "") + error.resolution
        assert shown.isprintable()


@given(st.text())
@settings(max_examples=150, deadline=None)
def test_any_text(text: str) -> None:
    outcome(text)


SIGNS = ["\n  ", "- ", ": ", *"{}[],:-?&*!|>'\"%@`#~. \n\\"]
WORDS = ["name", "nodes", "count", "role", "manager", "labels", "provision", "storage", "resources", "memory", "1GiB"]
TOKENS = [*SIGNS, *WORDS, "1", "1.5", "true", "<<", "---", "\\u0000"]


@given(st.lists(st.sampled_from(TOKENS), max_size=40).map("".join))
@settings(max_examples=150, deadline=None)
def test_any_text_that_looks_like_yaml(text: str) -> None:
    outcome(text)
    outcome(f"name: lab\nnodes: {{m: {{role: manager}}}}\n{text}")
    outcome(f"name: lab\nnodes: {{m: {{role: manager, {text}}}}}")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(TOKENS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(TOKENS), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    profiles(), st.sampled_from(["name", "nodes", "resources", "storage", "labels", "provision", "network"]), values
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_of_any_field(data: dict[str, object], key: str, value: object) -> None:
    outcome(text_of({**data, key: value}))


@given(profiles(), st.sampled_from(["count", "role", "resources", "storage", "labels", "provision"]), values)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_of_any_field_of_a_group(data: dict[str, object], key: str, value: object) -> None:
    outcome(text_of({**data, "nodes": {"m": {"role": "manager"}, "x": {key: value}, "y": value}}))


@given(
    st.lists(
        st.text(max_size=20) | st.lists(st.sampled_from([*TOKENS, "=", "."]), max_size=8).map("".join), max_size=3
    )
)
@settings(max_examples=150, deadline=None)
def test_any_override(overrides: list[str]) -> None:
    outcome("name: lab\nnodes: {m: {role: manager}}\n", tuple(overrides))


@given(st.integers(0, 1 << 32))
def test_sizes_read_back(mib: int) -> None:
    assert Size.parse(str(Size(mib))) == Size(mib)
