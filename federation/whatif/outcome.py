"""What came of a policy test's case, and the questions that its expectations ask of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from federation.atlas.lookup import members
from federation.errors import InvalidInput
from federation.intake.checking import Path
from federation.model.meta import Key
from federation.model.nearest import suggestion
from federation.model.placement import Target
from federation.model.plan import PlannedService
from federation.whatif.changes import key_of, unknown_service
from federation.whatif.documents import Where
from federation.whatif.reading import BoundCase, BoundTest
from federation.whatif.report import StepReport, Trouble, report, running
from federation.whatif.settle import Settled

_SHOWN = 12


def few(lines: list[str]) -> list[str]:
    """The first of the lines, and how many more there are."""
    return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"and {len(lines) - _SHOWN} more"]


@dataclass(frozen=True)
class Outcome:
    """What came of a case, and the questions that expectations ask of it."""

    test: BoundTest
    case: BoundCase
    before: Settled
    after: Settled

    @cached_property
    def report(self) -> StepReport:
        """The outcome as a scenario's step."""
        return report(self.case.case.name, (), self.before, self.after)

    # Names

    def error(self, message: str, path: Path) -> InvalidInput:
        """An error about the part of the test at `path`."""
        return self.test.spot.error(message, path)

    def key(self, name: str, path: Path) -> Key:
        """The service of that name. Raises: InvalidInput when it is not there."""
        key = key_of(name, self.test.namespace)
        if key not in self.after.state.services:
            raise self.error(unknown_service(key, self.after.state.services), (*path, "service"))
        return key

    def check_subcluster(self, name: str, path: Path) -> None:
        """Raises: InvalidInput for a sub-cluster that is not there."""
        known = self.after.state.subclusters
        if name not in known:
            raise self.error(f"there is no sub-cluster {name}; {suggestion(name, known)}", path)

    def matching(self, where: Where, path: Path) -> list[str]:
        """The sub-clusters that `where` means, by name. Raises: InvalidInput for names that are not there."""
        found = set(self.after.state.subclusters)
        for index, name in enumerate(where.subclusters or ()):
            self.check_subcluster(name, (*path, "subclusters", index))
        if where.subclusters is not None:
            found &= set(where.subclusters)
        if where.countries is not None:
            countries = frozenset().union(
                *(self._countries(code, (*path, "countries", index)) for index, code in enumerate(where.countries))
            )
            found = {name for name in found if self._country(name) in countries}
        if where.match_labels is not None:
            labels = where.match_labels.items()
            found = {name for name in found if labels <= self.after.state.subclusters[name].metadata.labels.items()}
        if where.any_of is not None:
            options = [self.matching(each, (*path, "anyOf", index)) for index, each in enumerate(where.any_of)]
            found &= {name for option in options for name in option}
        return sorted(found)

    def _countries(self, code: str, path: Path) -> frozenset[str]:
        try:
            return members(code, self.after.state.jurisdictions)
        except InvalidInput as error:
            raise self.error(error.message, path) from error

    def _country(self, name: str) -> str | None:
        request = self.after.judgement.request
        return request.view.places[request.subcluster_index[name]].country

    # Facts

    def runs(self, key: Key) -> tuple[Target, ...]:
        """Where the service runs, lost places left out."""
        state = self.after.state
        return tuple(target for target in running(state, key) if not state.is_lost(target.subcluster))

    def planned(self, key: Key) -> PlannedService:
        """What the service costs where it is, and why it is there."""
        plan = self.after.judgement.plan
        return plan.placements[self.after.judgement.request.service_index[key]]

    def trouble(self, key: Key) -> Trouble | None:
        """What the service lacks, if it has no place."""
        return next((one for one in self.report.unplaced if one.key == key), None)

    def verdict(self, key: Key) -> str:
        """Placed, denied or full."""
        trouble = self.trouble(key)
        return "placed" if trouble is None else trouble.lacks

    def candidates(self, key: Key, names: Iterable[str] | None = None) -> list[str]:
        """What is to be said of sub-clusters as places of the service; of all without names."""
        wanted = None if names is None else set(names)
        found = []
        for one in self.after.wish.candidates(key).candidates:
            if wanted is None or one.subcluster in wanted:
                reasons = "; ".join(reason.removeprefix(f"{one.subcluster}: ") for reason in one.reasons)
                found.append(f"{one.subcluster} is {one.verdict}{f': {reasons}' if reasons else ''}")
        return few(found)

    def why_there(self, key: Key) -> list[str]:
        """Why the service runs where it runs."""
        causes = [cause.why for cause in self.after.causes.get(key, ()) if cause.why]
        return causes[-1:] or list(self.planned(key).reasons[:1])
