"""What the sections of a policy accept, and what they say of what they refuse."""

import pytest
from planning import ENGINES
from pydantic import ValidationError

SCHEMAS = {engine.section: engine.schema for engine in ENGINES}

REFUSED = [
    ("compliance", {"residency": {"allow": ["EUU"]}}, "did you mean EU?"),
    ("compliance", {"residency": {"allow": ["Germany"]}}, "did you mean"),
    ("compliance", {"residency": {"allow": ["de"]}}, "did you mean DE?"),
    ("compliance", {"residency": {"allow": [False]}}, 'write "NO"'),
    ("compliance", {"residency": {"allow": []}}, "at least 1 item"),
    ("compliance", {"residency": {"deny": []}}, "at least 1 item"),
    ("compliance", {"residency": {}}, "says nothing"),
    ("compliance", {"residency": {"allow": ["DE", "FR"], "deny": ["EU"]}}, "denies all that it allows"),
    ("compliance", {"residency": {"allow": "EU"}}, "tuple"),
    ("compliance", {"residency": {"allows": ["EU"]}}, "Extra inputs"),
    ("compliance", {"operators": {"deny": ["USA"]}}, "did you mean"),
    ("compliance", {"attestations": []}, "at least 1 item"),
    ("compliance", {"attestations": [""]}, "pattern"),
    ("compliance", {"grace": "soon"}, "is not a duration"),
    ("compliance", {"onViolation": "shrug"}, "'move' or 'stop'"),
    ("compliance", {}, "says nothing"),
    ("compliance", {"grace": "1h"}, "says nothing"),
    ("locality", {}, "says nothing"),
    ("locality", {"users": []}, "at least 1 item"),
    ("locality", {"users": [{"share": 0.5}]}, "either region or country"),
    ("locality", {"users": [{"region": "eu-central-1", "country": "DE"}]}, "either region or country"),
    ("locality", {"users": [{"region": "eu-central-9"}]}, "did you mean eu-central"),
    ("locality", {"users": [{"country": "EU"}]}, "unknown country"),
    ("locality", {"users": [{"country": "DE", "share": 0.7}, {"country": "FR", "share": 0.4}]}, "110%, more than 100%"),
    ("locality", {"users": [{"country": "DE", "share": 0}]}, "greater than 0"),
    ("locality", {"users": [{"country": "DE", "share": "150%"}]}, "between 0% and 100%"),
    ("locality", {"users": [{"country": "DE", "share": 0.5}, {"country": "FR"}]}, "to each group or to none"),
    ("locality", {"users": [{"country": "DE"}, {"country": "DE"}]}, "twice"),
    ("locality", {"latencyWorth": -1}, "greater than or equal to 0"),
    ("locality", {"latencyWorth": float("inf")}, "finite"),
    ("locality", {"maxLatency": "0ms"}, "longer than nothing"),
    ("locality", {"maxLatency": 60}, "is not a duration"),
    ("locality", {"with": []}, "at least 1 item"),
    ("locality", {"with": ["Cart"]}, "namespace/name"),
    ("locality", {"with": ["a"], "apart": ["a"]}, "cannot be both"),
    ("locality", {"beside": ["a"], "withs": ["a"]}, "Extra inputs"),
    ("cost", {}, "says nothing; give maxHourly, spot or both"),
    ("cost", {"maxHourly": "12 EUR"}, "US dollars"),
    ("cost", {"maxHourly": 0}, "greater than 0"),
    ("cost", {"maxHourly": -3}, "-3 is not an amount because it is negative"),
    ("cost", {"spot": "150%"}, "'150%' is not a share; it must lie between 0% and 100%"),
    ("cost", {"spot": "-10%"}, "'-10%' is not a share; it must lie between 0% and 100%"),
    ("cost", {"spot": -0.1}, "-0.1 is not a share; it must lie between 0% and 100%"),
    ("cost", {"spot": "half"}, "'half' is not a share; write for instance 60% or 0.6"),
    ("spread", {"topology": "planet", "minDomains": 2}, "'provider', 'region', 'country' or 'subcluster'"),
    ("spread", {"topology": "provider"}, "says nothing"),
    ("spread", {"minDomains": 2}, "Field required"),
    ("spread", {"topology": "provider", "minDomains": 0}, "greater than or equal to 1"),
    ("spread", {"topology": "provider", "minDomains": "2"}, "valid integer"),
    ("spread", {"topology": "provider", "maxShare": "0%"}, "greater than 0"),
    ("spread", {"topology": "provider", "maxShare": "160%"}, "between 0% and 100%"),
]

ACCEPTED = [
    ("compliance", {"residency": {"allow": ["EU", "CH"], "deny": ["HU"]}, "operators": {"deny": ["US"]}}),
    ("compliance", {"attestations": ["iso27001", "soc2", "c5"], "grace": "10m", "onViolation": "move"}),
    ("compliance", {"operators": {"allow": ["DE"]}, "grace": "1h"}),
    ("locality", {"users": [{"region": "eu-central-1", "share": 0.7}, {"country": "US", "share": "30%"}]}),
    ("locality", {"users": [{"country": "DE"}], "maxLatency": "60ms", "latencyWorth": 0.002}),
    ("locality", {"with": ["cart-db"], "apart": ["shop/cart-canary"]}),
    ("cost", {"maxHourly": "12 USD"}),
    ("cost", {"maxHourly": "12 USD", "spot": "50%"}),
    ("cost", {"spot": 0}),
    ("spread", {"topology": "provider", "minDomains": 2, "maxShare": "60%"}),
]


@pytest.mark.parametrize(("section", "value", "message"), REFUSED)
def test_refused(section, value, message):
    with pytest.raises(ValidationError) as caught:
        SCHEMAS[section].model_validate(value)
    assert message in str(caught.value)


@pytest.mark.parametrize(("section", "value"), ACCEPTED)
def test_accepted(section, value):
    SCHEMAS[section].model_validate(value)
