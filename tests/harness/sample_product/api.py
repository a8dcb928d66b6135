from __future__ import annotations

from typing import Any

from flask import Blueprint, request
from marshmallow import Schema, ValidationError, fields, validate
from sqlalchemy import select

from saas import database, openapi
from saas.auth.bearer import current_token, token_required
from saas.billing import access
from saas.database import db
from saas.errors import APIError
from tests.harness.sample_product.models import Report

bp = Blueprint("reports_api", __name__)


class ReportSchema(Schema):
    title = fields.String(required=True, validate=validate.Length(1, 120))


class ReportsSchema(Schema):
    reports = fields.List(fields.Nested(ReportSchema), required=True)


@bp.get("/api/reports")
@openapi.describe("List the reports", response=ReportsSchema)
@token_required("reports:read")
def list_reports() -> dict[str, Any]:
    own = select(Report).where(Report.user_id == current_token.user_id).order_by(Report.written_at)
    rows = db.session.scalars(own).all()
    return {"reports": ReportSchema(many=True).dump(rows)}


@bp.post("/api/reports")
@openapi.describe("Write a report", body=ReportSchema, response=ReportSchema, status=201)
@token_required("reports:write")
def write() -> tuple[dict[str, Any], int]:
    try:
        value = ReportSchema().load(request.get_json())
    except ValidationError as error:
        raise APIError(422, "invalid", "The report is not valid.", error.messages_dict) from None
    try:
        access.use(current_token.user, "reports")
    except access.QuotaExhausted:
        raise APIError(403, "quota_exhausted", "No reports are left this month.") from None
    row = Report(user_id=current_token.user_id, title=value["title"])
    with database.write_transaction() as session:
        session.add(row)
    return ReportSchema().dump(row), 201
