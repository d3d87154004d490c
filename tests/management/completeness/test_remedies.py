"""What no job mends, and a source that fails while a repair is planned."""

from dataclasses import replace

import pytest

from management.completeness.proof import DeliveryDay
from management.completeness.read_back_day import ReadBackDay
from management.completeness.remedies import remedies, remedies_at
from management.completeness.source_listing import read_records
from producer.sources.errors import ErrorKind, SourceError, SourceFailure
from relay.errors import RelayError
from tests.support.day_seals import account

DAY = "2026-11-01"


def test_each_departure_that_no_job_mends_is_explained():
    """A day that is not complete never has an empty plan: it would look as if the hops agreed."""
    assert not [*remedies(account(DAY)), *remedies_at(account(DAY), "sentinel")]
    unproven = account(DAY, kept=False, undecodable=2, lost_letters=3)
    assert len(list(remedies(replace(unproven, source=None)))) == 4
    failed = replace(unproven.source, failure="The key is refused.")
    assert "(The key is refused.)" in next(remedies(replace(unproven, source=failed)))
    destinations = {"sentinel": DeliveryDay({"pending": 1, "not known": 2})}
    behind = replace(unproven, destinations=destinations, read_back={"sentinel": ReadBackDay(awaited=1)})
    found = list(remedies_at(behind, "sentinel"))
    assert len(found) == 3
    assert "jira-relay destinations lost sentinel" in found[1]


async def test_a_source_that_fails_ends_the_plan_with_its_reason():
    class Failing:
        async def read(self, *_):
            raise SourceError(SourceFailure(ErrorKind.UNREACHABLE, "The site does not answer."))
            yield

    with pytest.raises(RelayError, match="The site does not answer"):
        await read_records(Failing(), DAY, [1])
