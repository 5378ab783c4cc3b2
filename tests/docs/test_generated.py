"""What is generated is up to date; `make docs` writes it anew."""

from docs.generate import CRITERIA, README, criteria_document, readme_document


def test_the_list_of_criteria_is_the_policies() -> None:
    """`docs/criteria.md` says what the policy files say."""
    assert CRITERIA.read_text(encoding="utf-8") == criteria_document()


def test_the_readme_has_every_setting() -> None:
    """Its table says what the settings say."""
    assert README.read_text(encoding="utf-8") == readme_document()
