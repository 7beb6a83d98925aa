"""Hardware and provider names of a spec against what the catalogue knows."""

from collections.abc import Iterator
from typing import Protocol

from infc.diag import Diagnostic, Span
from infc.spec.load import LoadedSpec


class NameBook(Protocol):
    """What knows hardware and providers: `infc.resolve.targets.Catalogue`."""

    @property
    def providers(self) -> tuple[str, ...]:
        """Providers that have a price book."""

    def find(self, name: str) -> object | None:
        """The hardware of that id or alias."""

    def unknown_hardware(self, name: str, span: Span | None) -> Diagnostic:
        """The diagnostic of an unknown name, with the nearest one."""

    def unknown_provider(self, name: str, span: Span | None) -> Diagnostic:
        """The diagnostic of an unknown provider, with the nearest one."""


def check_hardware_names(loaded: LoadedSpec, book: NameBook) -> tuple[Diagnostic, ...]:
    """An error for every hardware name and provider that the book does not know; also of an invalid spec."""
    return tuple(_unknown_names(loaded, book))


def _unknown_names(loaded: LoadedSpec, book: NameBook) -> Iterator[Diagnostic]:
    spec = loaded.partial
    if spec is None:
        return
    for path, names in (("constraints.hardware", spec.constraints.hardware), ("deploy.targets", spec.deploy.targets)):
        for index, name in enumerate(names or ()):
            if book.find(name) is None:
                yield book.unknown_hardware(name, loaded.span(f"{path}[{index}]"))
    provider = spec.pricing.provider
    if provider is not None and provider not in book.providers:
        yield book.unknown_provider(provider, loaded.span("pricing.provider"))
