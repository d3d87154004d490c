"""The application: every route in one list, behind the guard."""

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from console.api import API
from console.context import ConsoleContext
from console.error_pages import ErrorAnswers
from console.pages import PAGES
from console.permissions import with_permissions
from console.rendering import Pages
from console.security import Guard


def create_app(context: ConsoleContext) -> ASGIApp:
    """Return the ASGI application of a console."""
    pages = Pages(context)
    errors = ErrorAnswers(pages)
    routes: list[BaseRoute] = [
        Mount("/static", StaticFiles(packages=[("console", "static")])),
        *with_permissions(
            [
                *(route for page in PAGES for route in page(context, pages)),
                *(route for subject in API for route in subject(context)),
            ],
            errors.missing_role,
        ),
    ]
    application = Starlette(routes=routes, exception_handlers=errors.handlers())
    return Guard(application, context, errors)
