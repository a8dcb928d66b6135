"""Disputes: read, counter with evidence, and accept. https://docs.stripe.com/api/disputes"""

from stripe import params as shape

from saas_sandbox.stripe.api import pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import disputes, metadata
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource


@operation("GET", "/disputes/<id>", shape.DisputeRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get("dispute", id)


@operation("POST", "/disputes/<id>", shape.DisputeUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    """Stage evidence, and submit it unless `submit` is false.

    "Updating any field in the hash will submit all fields in the hash for review."
    """
    dispute = account.get("dispute", id)
    metadata.update_metadata(dispute, params)
    params.copy_to(dispute, "intended_submission_method")
    evidence = params.section("evidence")
    if evidence:
        disputes.add_evidence(dispute, _read_texts(evidence))
    if params.get("submit", bool(evidence)):
        return disputes.submit_evidence(account, dispute)
    return account.save(dispute, "charge.dispute.updated")


@operation("POST", "/disputes/<id>/close", shape.DisputeCloseParams)
def close(account: Account, params: Params, id: str) -> Resource:
    """ "Closing the dispute for a charge indicates that you do not have any evidence to submit and
    are essentially dismissing the dispute, acknowledging it as lost."
    """
    return disputes.decide_dispute(account, account.get("dispute", id), "lost")


@operation("GET", "/disputes", shape.DisputeListParams)
def list_all(account: Account, params: Params) -> Resource:
    condition: tuple[str, list[str]] = ("1", [])
    if "payment_intent" in params:
        condition = ("json_extract(body, '$.payment_intent') = ?", [params["payment_intent"]])
    url, charge = "/v1/disputes", params.get("charge")
    return pagination.list_page(account, "dispute", url, params, condition=condition, parent=charge)


def _read_texts(evidence: Params) -> dict[str, str]:
    """Return the texts. Files, appeals and enhanced evidence stay unread, and so are refused."""
    names = [name for name in disputes.EVIDENCE_FIELDS if name not in disputes.FILE_FIELDS]
    return {name: evidence[name] for name in names if name in evidence}
