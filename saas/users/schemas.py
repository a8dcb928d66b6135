"""What programs get to see of a person."""

from __future__ import annotations

from marshmallow import Schema, fields


class DiscountSchema(Schema):
    """A discount on the subscription; `percent_off` is a decimal number in a string."""

    percent_off = fields.String(allow_none=True)
    amount_off = fields.Integer(allow_none=True)
    ends = fields.AwareDateTime(allow_none=True)
    once = fields.Boolean()


class RecurringSchema(Schema):
    """What is charged each time, in the currency's smallest unit."""

    amount = fields.Integer(allow_none=True)
    full_amount = fields.Integer(allow_none=True)
    currency = fields.String()
    interval = fields.String(allow_none=True)
    interval_count = fields.Integer()
    quantity = fields.Integer(allow_none=True)
    discounts = fields.List(fields.Nested(DiscountSchema))
    plus_tax = fields.Boolean()


class NextInvoiceSchema(Schema):
    """What will be charged next, prorations, discounts, taxes and balance included."""

    amount_due = fields.Integer()
    currency = fields.String()
    date = fields.AwareDateTime()


class SubscriptionSchema(Schema):
    """The copy of the subscription, and the plan that it gives."""

    plan = fields.String(attribute="plan.id")
    status = fields.String(attribute="stripe_subscription_status", allow_none=True)
    interval = fields.String(allow_none=True)
    current_period_end = fields.AwareDateTime(
        attribute="stripe_current_period_end", allow_none=True
    )
    cancel_at = fields.AwareDateTime(attribute="stripe_cancel_at", allow_none=True)
    recurring = fields.Nested(RecurringSchema, allow_none=True)
    next_invoice = fields.Nested(NextInvoiceSchema, allow_none=True)


class UserSchema(Schema):
    """A person's own profile."""

    id = fields.UUID()
    email = fields.String()
    name = fields.String(allow_none=True)
    role = fields.String()
    created_at = fields.AwareDateTime()
    subscription = fields.Function(lambda person: SubscriptionSchema().dump(person))


class OperatorsUserSchema(UserSchema):
    """The same for operators, who also see who is disabled."""

    disabled_at = fields.AwareDateTime(allow_none=True)


class AuditEntrySchema(Schema):
    """What was done to an account, in ids and words."""

    at = fields.AwareDateTime()
    actor = fields.String()
    action = fields.String()
    subject_id = fields.UUID()


class UserAnswerSchema(Schema):
    """The answer of /api/user."""

    user = fields.Nested(UserSchema, required=True)
