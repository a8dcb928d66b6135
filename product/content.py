"""Texts of the public pages: links, plan comparison and questions."""

from saas.declaration import ComparisonRow, Question, SiteLink

site_links = (SiteLink("Features", "/#features"),)

comparison = (ComparisonRow("Account, export and deletion", lambda plan: True),)

questions = (
    Question("Can I try it first?", "Yes. Starter is free. It needs no card and does not expire."),
    Question(
        "Can I change my plan later?",
        "Yes, at any time. Unused time on your current plan is credited.",
    ),
    Question(
        "How do I cancel?",
        "Under Billing. You keep your plan until the end of the period you paid for.",
    ),
    Question(
        "What happens when a payment fails?",
        "You keep your plan for a few days. We email you how to pay and when access ends.",
    ),
    Question(
        "Can I delete my account?",
        "Yes, under Settings. Your subscription is canceled first, then your data is deleted.",
    ),
)
