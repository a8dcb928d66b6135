"""What the public pages say besides the plans."""

from saas.declaration import ComparisonRow, Question, SiteLink

site_links = (SiteLink("Features", "/#features"),)

comparison = (ComparisonRow("Account, settings, deletion", lambda plan: True),)

questions = (
    Question(
        "Can I try it first?", "Yes. Starter is free, without a card and without an end date."
    ),
    Question(
        "Can I change my plan later?",
        "At any time, in both directions. What you have paid and not used is taken into account.",
    ),
    Question(
        "How do I cancel?",
        "With one button under Billing. You keep the plan until the end of what you have paid for.",
    ),
    Question(
        "What happens when a payment fails?",
        "You keep your plan for some days; a mail and a banner say until when, and what to do.",
    ),
    Question(
        "Can I delete my account?",
        "Yes, under Settings. The subscription is cancelled first, then everything we hold goes.",
    ),
)
