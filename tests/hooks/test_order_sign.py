"""Orders signed in an EHR: each gets the plan's answer, and comes back as it came in."""

import pytest
from signing import GOVERNED, STORIES, Ehr, outcomes

from cds_service.demo.stories import Story

EVERY_STORY = pytest.mark.parametrize("story", STORIES, ids=[story.id for story in STORIES])
EVERY_GOVERNED = pytest.mark.parametrize("story", GOVERNED, ids=[story.id for story in GOVERNED])


@EVERY_STORY
def test_each_story_gets_its_outcome_from_what_was_sent(story: Story, ehr: Ehr) -> None:
    """With the whole prefetch and no FHIR server, the outcome is the one that the story was written for."""
    expected = [story.expected_outcome] if story.expected_outcome else []
    assert outcomes(ehr.sign(story)) == expected
