"""The catalogue: built-in devices and price books with a user's own laid over them, read when they are asked for."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from infc.diag import Diagnostic, InternalError, Span
from infc.diag.nearest import nearest
from infc.ir.hardware import Hardware
from infc.ir.price import Commitment, Price
from infc.resolve.targets.hardware import hardware_from_text, hardware_id_from_name
from infc.resolve.targets.location import data_directory
from infc.resolve.targets.ownership import owned_price
from infc.resolve.targets.price_book import PriceBook, list_price, overlaid, price_book_from_text
from infc.resolve.targets.records import Record

if TYPE_CHECKING:  # `infc targets` needs no spec language
    from infc.ir.spec.constraints import Owned

PricingTerms: TypeAlias = Commitment | Literal["mixed"]

OWNED = "owned"


@dataclass(frozen=True, kw_only=True)
class _Overlay:
    """What a user's `targets/` directory holds, read and checked as a whole."""

    hardware: dict[str, Hardware]
    books: dict[str, tuple[PriceBook, Record]]
    problems: tuple[Diagnostic, ...]


class Catalogue:
    """Devices and prices by name.

    `diagnostics` are the problems of the overlay; a file with a problem is left out, and the built-in one stays.
    Reading is lazy: one device costs one small file, `all()` some twenty milliseconds once.
    """

    def __init__(self, builtin: Path, overlay: Path | None) -> None:
        is_own = overlay is not None and overlay.is_dir() and overlay.resolve() != builtin.resolve()
        self.overlay_path = overlay if is_own else None
        self.path = builtin
        self._hardware_files = {file.stem: file for file in sorted((builtin / "hardware").glob("*.yaml"))}
        self._book_files = {file.stem: file for file in sorted((builtin / "prices").glob("*.yaml"))}
        self._overlay = _read_overlay(self.overlay_path)
        self._devices: dict[str, Hardware] = dict(self._overlay.hardware)
        self._books: dict[str, PriceBook] = {}

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of every device, sorted."""
        return tuple(sorted({*self._hardware_files, *self._overlay.hardware}))

    @property
    def providers(self) -> tuple[str, ...]:
        """Names of every price book, sorted."""
        return tuple(sorted({*self._book_files, *self._overlay.books}))

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every problem of the overlay: of its files, and of prices for devices that nobody knows."""
        problems = list(self._overlay.problems)
        for _, record in self._overlay.books.values():
            for row in (*record.records("prices"), *record.records("purchases")):
                name = row.required_text("hardware")
                if name not in self.ids:
                    problems.append(self.unknown_hardware(name, row.span_of("hardware")))
        return tuple(problems)

    def find(self, name: str) -> Hardware | None:
        """The device with this id, alias or display name (`l4`, `tesla-t4`, `A100 SXM 80GB`), or None."""
        id = hardware_id_from_name(name)
        if id in self._devices or id in self._hardware_files:
            return self._device(id)
        return next((device for device in self.all() if id in device.aliases), None)

    def all(self) -> tuple[Hardware, ...]:
        """Every device, by id."""
        return tuple(self._device(id) for id in self.ids)

    def nearest(self, name: str) -> tuple[str, ...]:
        """Up to three ids whose id or alias resembles `name`, best first."""
        names = {alias: device.id for device in self.all() for alias in (device.id, *device.aliases)}
        wanted = hardware_id_from_name(name)
        words = [word for word in wanted.split("-") if word]
        inside = [known for known in names if words and all(word in known for word in words)]
        close = nearest(wanted, names, limit=6)
        return tuple(dict.fromkeys(names[known] for known in (*inside, *close)))[:3]

    def price(self, hardware_id: str, provider: str | None, commitment: PricingTerms) -> Price | None:
        """What one hour of the device costs under these terms, or None where no book says.

        Without a provider: the cheapest list price over the cloud books (marketplaces and cost models only when named);
        a device that no cloud lists costs what owning it costs, when its purchase price is known. `mixed` is on-demand.
        """
        terms: Commitment = "on-demand" if commitment == "mixed" else commitment
        if terms == "owned" and provider in (None, OWNED):
            return self._owned(hardware_id)
        if provider is not None:
            book = self._book(provider)
            if book is None:
                return None
            return self._owned(hardware_id) if book.kind == "owned" else list_price(book, hardware_id, terms)
        books = [book for name in self.providers if (book := self._book(name)) is not None and book.kind == "cloud"]
        prices = [price for book in books if (price := list_price(book, hardware_id, terms)) is not None]
        if prices:
            return min(prices, key=lambda price: (price.usd_per_hour, price.accelerators_per_unit, price.provider))
        is_listed = any(row.hardware_id == hardware_id for book in books for row in book.prices)
        return None if is_listed else self._owned(hardware_id)

    def owned(self, hardware: Hardware, terms: "Owned") -> Price | None:
        """What owning the device costs per hour on the terms of a spec, or None where no purchase price is known."""
        book = self._book(OWNED)
        return None if book is None else owned_price(book, hardware, terms)

    def prices(self, hardware_id: str) -> tuple[Price, ...]:
        """Every price of the device in every book, cheapest first, with the reserved ones that discounts give."""
        books = [book for name in self.providers if (book := self._book(name)) is not None]
        rows = [row for book in books for row in book.prices if row.hardware_id == hardware_id]
        terms: tuple[Commitment, ...] = ("1y", "3y")
        reserved = (list_price(book, hardware_id, term) for book in books for term in terms)
        rows += [price for price in reserved if price is not None and price not in rows]
        owned = self._owned(hardware_id)
        rows += [owned] if owned is not None else []
        return tuple(sorted(rows, key=lambda row: (row.usd_per_hour, row.provider, row.sku, row.commitment)))

    def unknown_hardware(self, name: str, span: Span | None) -> Diagnostic:
        """The error for a name that is not in the catalogue, with the nearest ones."""
        near = self.nearest(name)
        named = " or ".join(f"`{id}`" for id in near)
        help = f"did you mean {named}?" if near else "`infc targets list` shows every device"
        return Diagnostic(id="target-unknown", message=f"no hardware is named {name}", span=span, help=help)

    def unknown_provider(self, name: str, span: Span | None) -> Diagnostic:
        """The error for a provider without a price book, with the nearest ones."""
        near = nearest(name, self.providers, limit=2) or self.providers
        help = f"there are price books for {', '.join(near)}; your own go to targets/prices/{name}.yaml"
        return Diagnostic(id="target-unknown-provider", message=f"no price book is named {name}", span=span, help=help)

    def _device(self, id: str) -> Hardware:
        if id not in self._devices:
            file = self._hardware_files[id]
            device, problems = hardware_from_text(
                file.read_text(encoding="utf-8"), id, f"targets/hardware/{file.name}", is_untrusted=False
            )
            if device is None:
                raise InternalError(f"built-in {file.name}: {problems[0].message}")
            self._devices[id] = device
        return self._devices[id]

    def _book(self, provider: str) -> PriceBook | None:
        if provider not in self._books:
            if provider not in self.providers:
                return None
            self._books[provider] = self._read_book(provider)
        return self._books[provider]

    def _read_book(self, provider: str) -> PriceBook:
        own = self._overlay.books.get(provider)
        file = self._book_files.get(provider)
        if file is None:
            assert own is not None  # noqa: S101 - every provider has a file in one of the two
            return own[0]
        book, _, problems = price_book_from_text(
            file.read_text(encoding="utf-8"), provider, f"targets/prices/{file.name}", is_untrusted=False
        )
        if book is None:
            raise InternalError(f"built-in {file.name}: {problems[0].message}")
        return book if own is None else overlaid(book, own[0])

    def _owned(self, hardware_id: str) -> Price | None:
        book = self._book(OWNED)
        if book is None or all(purchase.hardware_id != hardware_id for purchase in book.purchases):
            return None
        return owned_price(book, self._device(hardware_id))


def load_catalogue(overlay: Path | None) -> Catalogue:
    """The built-in catalogue with the user's `targets/` directory (when it exists) laid over it.

    A hardware file of the overlay adds a device or replaces the built-in one of that id; a price book adds a
    provider, or replaces rows of the same hardware and terms. `Catalogue.diagnostics` says what is wrong with it.
    """
    return Catalogue(data_directory("targets"), overlay)


def _read_overlay(directory: Path | None) -> _Overlay:
    hardware: dict[str, Hardware] = {}
    books: dict[str, tuple[PriceBook, Record]] = {}
    problems: list[Diagnostic] = []
    if directory is None:
        return _Overlay(hardware=hardware, books=books, problems=())
    for file in sorted((directory / "hardware").glob("*.yaml")):
        text = _text(file, problems)
        device, found = (None, ()) if text is None else hardware_from_text(text, file.stem, str(file))
        problems += found
        if device is not None:
            hardware[device.id] = device
    for file in sorted((directory / "prices").glob("*.yaml")):
        text = _text(file, problems)
        book, record, found = (None, None, ()) if text is None else price_book_from_text(text, file.stem, str(file))
        problems += found
        if book is not None and record is not None:
            books[book.provider] = (book, record)
    return _Overlay(hardware=hardware, books=books, problems=tuple(problems))


def _text(file: Path, problems: list[Diagnostic]) -> str | None:
    span = Span(path=str(file), line=1, column=1, end_line=1, end_column=2)
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"not UTF-8 text: byte {error.start} cannot be read"
        problems.append(Diagnostic(id="target-syntax", message=message, span=span, help="save the file as UTF-8"))
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        problems.append(Diagnostic(id="target-syntax", message=message, span=span))
    return None
