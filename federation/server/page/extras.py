"""What the page adds to the API."""

from __future__ import annotations

from collections.abc import Callable

from federation.contracts.store import Store
from federation.model.meta import API_VERSION
from federation.server.access import Caller
from federation.server.answers import Answer
from federation.server.extras import Extra, Lines, Page, Subresource
from federation.server.page import fleet
from federation.server.page.candidates import Candidates
from federation.server.page.feed import open_feed
from federation.server.page.files import PREFIX, serve_file
from federation.server.page.shared import Shared
from federation.server.requests import Request
from federation.server.routes import Route

_BASE = f"/apis/{API_VERSION}"
_READ = ("GET", "HEAD")


def page_extras(store: Store, clock: Callable[[], float]) -> tuple[Extra, ...]:
    """The page (open to everybody: it holds no data) and its endpoints, which want a token with the role view.

    - `/`, `/page/...`: the files.
    - `<base>/feed?kinds=placements,events&resourceVersion=V[&namespace=NS]`: changes of several kinds in one stream.
    - `<base>/fleet`: what each sub-cluster holds, summed over all services.
    - `<base>/namespaces/NS/microservices/NAME/candidates`: what `roam why -o json` prints.

    The last two carry `X-Roam-Fresh: false` when they are older than the store: ask again a little later."""
    candidates = Candidates(store, clock)
    usage = Shared(store, fleet.KINDS, lambda: fleet.sum_up(store, clock()))

    def feed(request: Request, caller: Caller) -> Lines:
        return open_feed(store, request, caller)

    def show_usage(_request: Request, _caller: Caller) -> Answer:
        made = usage.get()
        return Answer(200, made.value, _age(fresh=made.fresh, version=made.version))

    def explain(route: Route, _request: Request, _caller: Caller) -> Answer:
        made = candidates.of(route.key)
        return Answer(200, made.value.model_dump(mode="json"), _age(fresh=made.fresh, version=made.version))

    return (
        Page("/", serve_file, methods=_READ, role=None),
        Page(PREFIX, serve_file, methods=_READ, role=None),
        Page(f"{_BASE}/feed", feed),
        Page(f"{_BASE}/fleet", show_usage),
        Subresource("microservices", "candidates", explain),
    )


def _age(*, fresh: bool, version: int) -> tuple[tuple[str, str], ...]:
    return (("X-Roam-Fresh", "true" if fresh else "false"), ("X-Roam-Version", str(version)))
