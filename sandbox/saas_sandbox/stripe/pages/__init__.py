"""The pages that Stripe hosts: checkout, portal, invoice. Plain HTML forms, no script needed."""
