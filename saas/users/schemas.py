"""What programs get to see of a person."""

from __future__ import annotations

from marshmallow import Schema, fields


class SubscriptionSchema(Schema):
    """The copy of the subscription, and the plan that it gives."""

    plan = fields.String(attribute="plan.id")
    status = fields.String(attribute="stripe_subscription_status", allow_none=True)
    interval = fields.String(allow_none=True)
    current_period_end = fields.AwareDateTime(
        attribute="stripe_current_period_end", allow_none=True
    )
    cancel_at = fields.AwareDateTime(attribute="stripe_cancel_at", allow_none=True)


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
