"""Killed at any step: nothing is lost, and nothing happens twice.

A server process gets SIGKILL just before every single step of handling an event, of closing an
account and of sending a mail, one step after the other until there is none left; which steps there
are is heard from the running process (see `tests.harness.crashing_app`). Then it is repaired as in
production: Stripe delivers again, the user tries again, or a periodic task runs.
"""
