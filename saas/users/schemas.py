"""JSON schemas of the user."""

from __future__ import annotations

from marshmallow import Schema, fields


class DiscountSchema(Schema):
    """A discount on the subscription; `percent_off` is a decimal number as a string."""

    percent_off = fields.String(allow_none=True)
    amount_off = fields.Integer(allow_none=True)
    ends = fields.AwareDateTime(allow_none=True)
    once = fields.Boolean()


class RecurringSchema(Schema):
    """The recurring amount, in the currency's smallest unit."""

    amount = fields.Integer(allow_none=True)
    full_amount = fields.Integer(allow_none=True)
    currency = fields.String()
    interval = fields.String(allow_none=True)
    interval_count = fields.Integer()
    quantity = fields.Integer(allow_none=True)
    discounts = fields.List(fields.Nested(DiscountSchema))
    plus_tax = fields.Boolean()


class NextInvoiceSchema(Schema):
    """The next invoice, including prorations, discounts, taxes and balance."""

    amount_due = fields.Integer()
    currency = fields.String()
    date = fields.AwareDateTime()


class GrantSchema(Schema):
    """A plan that was given by hand; without an end, `until` is null."""

    plan = fields.String(attribute="granted.id")
    until = fields.AwareDateTime(attribute="granted_until", allow_none=True)


class SubscriptionSchema(Schema):
    """The copied subscription. `plan` and its `features` are those of the highest source."""

    plan = fields.String(attribute="plan.id")
    features = fields.Function(lambda user: sorted(user.plan.features))
    granted = fields.Function(lambda user: GrantSchema().dump(user) if user.granted else None)
    status = fields.String(attribute="stripe_subscription_status", allow_none=True)
    interval = fields.String(allow_none=True)
    current_period_end = fields.AwareDateTime(
        attribute="stripe_current_period_end", allow_none=True
    )
    cancel_at = fields.AwareDateTime(attribute="stripe_cancel_at", allow_none=True)
    recurring = fields.Nested(RecurringSchema, allow_none=True)
    next_invoice = fields.Nested(NextInvoiceSchema, allow_none=True)


class UserSchema(Schema):
    """The profile of a user."""

    id = fields.UUID()
    email = fields.String()
    name = fields.String(allow_none=True)
    role = fields.String()
    created_at = fields.AwareDateTime()
    subscription = fields.Function(lambda user: SubscriptionSchema().dump(user))


class OperatorsUserSchema(UserSchema):
    """The profile for operators, including whether the user is disabled."""

    disabled_at = fields.AwareDateTime(allow_none=True)


class AuditEntrySchema(Schema):
    """An entry of the audit log."""

    at = fields.AwareDateTime()
    actor = fields.String()
    action = fields.String()
    subject_id = fields.UUID()
    reason = fields.String()


class UserAnswerSchema(Schema):
    """The response of /api/user."""

    user = fields.Nested(UserSchema, required=True)
