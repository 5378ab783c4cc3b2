"""What is generated from the policies is up to date."""

from docs.generate import TARGET, criteria_document


def test_the_list_of_criteria_is_the_policies() -> None:
    """`docs/criteria.md` says what the policy files say; `make docs` writes it anew."""
    assert TARGET.read_text(encoding="utf-8") == criteria_document()
