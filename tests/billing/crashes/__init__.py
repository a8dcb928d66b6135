"""After a crash at any step, nothing is lost and nothing is done twice.

A server process gets SIGKILL before a step of processing an event, of deleting an account or of
sending an email. The tests repeat this for each step. The running process reports its steps (see
`tests.harness.crashing_app`). Recovery works as in production: Stripe redelivers the event, the
user tries again, or a periodic task runs.
"""
