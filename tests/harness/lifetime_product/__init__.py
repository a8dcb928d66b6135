"""The sample product, which also sells a plan for one payment."""

import dataclasses

from tests.harness import sample_product
from tests.harness.sample_product.catalogue import LIFETIME, catalogue

product = dataclasses.replace(
    sample_product.product,
    catalogue=dataclasses.replace(catalogue, plans=(*catalogue.plans, LIFETIME)),
)
