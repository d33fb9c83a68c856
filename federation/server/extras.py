"""The seam: paths and subresources that other modules add to the API without touching it.

A module offers a function that returns its extras, and whoever builds the API (`controller`) hands them to
`make_wsgi(..., options=Options(extras=[...]))`:

    def extras(store: Store) -> tuple[Extra, ...]:
        def show(request: Request, caller: Caller) -> Answer:
            return Answer(200, render(store), media_type="text/plain; version=0.0.4")

        def candidates(route: Route, request: Request, caller: Caller) -> Answer:
            return Answer(200, explain(store, route.key))

        return (
            Page("/metrics", show),                                            # GET, any token
            Page("/ui/", serve_file, role=None),                               # open; `/ui/` and all below it
            Subresource("microservices", "candidates", candidates),            # .../microservices/NAME/candidates
            Subresource("migrations", "rollback", undo, methods=("POST",), role="deploy"),
        )

What the API does for them: reads the request within its limits, asks for a token, checks role and namespace, answers
405 elsewhere than `methods`, turns whatever they raise into a `Status`, and audits every method but GET and HEAD.
A handler answers with an `Answer` (its body may be a mapping, text or bytes), or with `Lines` for a stream that lasts,
which takes one of the server's places for watchers. It may raise what `answers.refusal` knows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from federation.model.kinds import BY_PLURAL
from federation.server.access import Caller, Role
from federation.server.answers import Answer
from federation.server.requests import Request
from federation.server.routes import Route


@dataclass(frozen=True)
class Lines:
    """An answer that goes on: pieces as they come, and None at least every half second while there is nothing to say,
    so that a client's hanging up is noticed. The generator is closed when the client is gone."""

    pieces: Generator[bytes | None]
    media_type: str = "application/json"


@dataclass(frozen=True)
class Page:
    """A path. One that ends in `/` means all below it, too, but for `/`, which is only itself. `role` None: open to
    everybody, without a token; its handler is called with `access.NOBODY`."""

    path: str
    handle: Callable[[Request, Caller], Answer | Lines]
    methods: tuple[str, ...] = ("GET",)
    role: Role | None = "view"


@dataclass(frozen=True)
class Subresource:
    """Something below every object of a kind: `.../<plural>/<object>/<name>`. The caller needs `role` in the object's
    namespace; the object itself may not exist."""

    plural: str
    name: str
    handle: Callable[[Route, Request, Caller], Answer | Lines]
    methods: tuple[str, ...] = ("GET",)
    role: Role = "view"


Extra = Page | Subresource


class Extras:
    """All that was added, by path. Raises: ValueError for a kind that does not exist, or something added twice."""

    def __init__(self, extras: Sequence[Extra] = ()):
        self._pages: dict[str, Page] = {}
        self._below: dict[tuple[str, str], Subresource] = {}
        for extra in extras:
            if isinstance(extra, Page):
                known, key = extra.path in self._pages, extra.path
                self._pages[extra.path] = extra
            else:
                if extra.plural not in BY_PLURAL:
                    raise ValueError(f"no kind is called {extra.plural!r}")
                known, key = (extra.plural, extra.name) in self._below, f"{extra.plural}/{extra.name}"
                self._below[extra.plural, extra.name] = extra
            if known:
                raise ValueError(f"{key} is added twice")

    @property
    def subresources(self) -> Mapping[tuple[str, str], Subresource]:
        """Those below objects, by plural and name."""
        return self._below

    def page(self, path: str) -> Page | None:
        """The page at `path`: the very one, else the nearest above it that covers all below."""
        found = self._pages.get(path) or self._pages.get(path.rstrip("/"))
        above = path.rstrip("/")
        while found is None and above:
            found = self._pages.get(f"{above}/")
            above = above.rpartition("/")[0]
        return found
