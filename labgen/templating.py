"""Templates: for programs, where strings pass through a filter, and for pages, where text never becomes markup."""

from collections.abc import Callable, Mapping

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

__all__ = ["Markup", "filled", "markup", "page"]
Filters = Mapping[str, Callable[..., object]]


def filled(template: str, values: Mapping[str, object], filters: Filters | None = None) -> str:
    """For the languages of programs: what is inserted is checked before, or the template quotes it with a filter.

    :param template: its text. :param values: by the names that it uses; one that lacks is an error.
    """
    environment = Environment(  # noqa: S701 - it is not HTML
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update(filters or {})
    return environment.from_string(template).render(values)


def page(template: str, clean: Callable[[str], str], filters: Filters, **content: object) -> str:
    """HTML. :param clean: is applied to every text that is inserted, before it is escaped; markup stays as it is."""

    def finalize(value: object) -> object:
        return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=True, finalize=finalize
    )
    environment.filters.update(filters)
    return environment.from_string(template).render(**content)


def markup(text: str) -> Markup:
    """Text that is HTML already, and made by labgen."""
    return Markup(text)  # noqa: S704 - its callers are the renderers of pictures and notes, which escape
