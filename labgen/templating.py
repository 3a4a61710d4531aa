"""Text from jinja2's templates. They are for configurations, not for HTML: what goes in is checked before."""

from collections.abc import Callable, Mapping

from jinja2 import Environment, StrictUndefined


def filled(
    template: str, values: Mapping[str, object], filters: Mapping[str, Callable[..., str]] | None = None
) -> str:
    """:param template: its text. :param values: by the names that it uses; one that lacks is an error."""
    environment = Environment(  # noqa: S701 - see above
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update(filters or {})
    return environment.from_string(template).render(values)
