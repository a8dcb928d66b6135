#!/bin/sh
# What a card costs: this project beside its peers from npm, and beside bare Flask.
cd "$(dirname "$0")/../.." && exec .venv/bin/python bench/og/cards.py
