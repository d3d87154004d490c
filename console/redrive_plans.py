"""Plans of redrives, for the page and the API: the same fields, the same count, and the same end of a long read."""

from console.context import ConsoleContext
from management.dead_letter_fields import read_redrive, read_unreadable
from management.dead_letter_redrive import RedrivePlan, plan_redrive
from management.fields import FieldValues
from management.unreadable_redrive import UnreadablePlan, plan_unreadable_redrive

REMEDY = "Choose one organization or less time, or use `jira-relay dead-letters`, which has no such end."


async def plan_letters(context: ConsoleContext, fields: FieldValues, person: str) -> RedrivePlan:
    """Count the open letters of destinations that the fields ask for, on behalf of a person. Raises RelayError."""
    asked = read_redrive(fields)
    return await context.long_reads.run(
        lambda: plan_redrive(
            context.connection, context.destinations, context.registry, asked, person, context.now_ms()
        ),
        REMEDY,
    )


async def plan_unreadable(context: ConsoleContext, fields: FieldValues, person: str) -> UnreadablePlan:
    """Count the open letters of producers that this release can read. Raises RelayError."""
    selection = read_unreadable(fields)
    return await context.long_reads.run(
        lambda: plan_unreadable_redrive(
            context.connection, context.parse_record, selection, person, context.now_ms()
        ),
        REMEDY,
    )
