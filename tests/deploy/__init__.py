"""Tests of the deployment targets in docs/deploy.md."""
