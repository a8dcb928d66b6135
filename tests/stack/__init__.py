"""The whole set on one machine, as it is deployed: `make stack`, `make chaos`, `make load`."""
