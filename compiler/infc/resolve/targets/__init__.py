"""The hardware catalogue and its price books: `targets/` as values, with a user's own directory laid over it."""

from infc.resolve.targets.catalogue import Catalogue, PricingTerms, load_catalogue
from infc.resolve.targets.location import data_directory
from infc.resolve.targets.schema import hardware_schema, prices_schema

__all__ = ["Catalogue", "PricingTerms", "data_directory", "hardware_schema", "load_catalogue", "prices_schema"]
