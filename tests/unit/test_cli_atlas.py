"""`roam atlas`: every form of it, offline."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commandline import WIDTH, Roam, golden, transcript

FLEET = """\
apiVersion: roam.federation/v1alpha1
kind: SubCluster
metadata: {name: hall}
spec:
  provider: local
  location: {country: DE, latencies: {eu-central-1: 3ms, FR: 12ms}}
---
apiVersion: roam.federation/v1alpha1
kind: SubCluster
metadata: {name: paris}
spec:
  provider: local
  region: fr-par
  location: {cloud: scaleway}
"""


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, no home; files are given without their folder."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("ROAM_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("ROAM_SERVER", "http://127.0.0.1:1")
    (tmp_path / "fleet.yaml").write_text(FLEET)
    monkeypatch.chdir(tmp_path)


def test_regions(roam: Roam) -> None:
    golden(
        "atlas-regions",
        transcript(
            roam,
            ("atlas", "regions", "--cloud", "aws", "--in", "EU"),
            ("atlas", "regions", "--country", "CH"),
            ("atlas", "regions", "--cloud", "hetzner", "--country", "DE", "-o", "wide"),
            ("atlas", "regions", "--cloud", "rackspace", "-o", "name"),
            ("atlas", "regions", "--cloud", "scaleway", "--country", "PL", "-o", "json"),
            ("atlas", "regions", "--cloud", "scaleway", "--country", "PL", "-o", "yaml"),
            ("atlas", "regions", "--cloud", "hetzner", "--country", "CH"),
            ("atlas", "regions", "--cloud", "hetzner", "--country", "CH", "-o", "json"),
            ("atlas", "region", "eu-central-1"),
            ("atlas", "region", "linode/fr-par", "eusc-de-east-1"),
            ("atlas", "region", "alibaba/eu-central-1", "-o", "name"),
            ("atlas", "region", "cn-north-1", "-o", "json"),
        ),
    )


def test_jurisdictions_countries_and_clouds(roam: Roam) -> None:
    golden(
        "atlas-codes",
        transcript(
            roam,
            ("atlas", "jurisdictions"),
            ("atlas", "jurisdiction", "EFTA"),
            ("atlas", "jurisdiction", "UK"),
            ("atlas", "jurisdiction", "EFTA", "-o", "json"),
            ("atlas", "jurisdictions", "-o", "name"),
            ("atlas", "countries", "--in", "EFTA"),
            ("atlas", "countries", "--in", "Benelux", "-o", "wide"),
            ("atlas", "country", "CH"),
            ("atlas", "country", "CH", "AQ", "-o", "yaml"),
            ("atlas", "clouds"),
            ("atlas", "cloud", "exoscale", "aws", "ionos"),
        ),
    )


def test_tariffs_and_distances(roam: Roam) -> None:
    golden(
        "atlas-distance",
        transcript(
            roam,
            ("atlas", "tariffs", "--cloud", "gcp"),
            ("atlas", "tariffs", "--cloud", "hetzner", "-o", "wide"),
            ("atlas", "tariffs", "--cloud", "vultr", "-o", "name"),
            ("atlas", "distance", "eu-central-1", "us-east-1"),
            ("atlas", "distance", "eu-central-1", "ap-northeast-2", "-o", "wide"),
            ("atlas", "distance", "eu-central-1", "eu-central-1"),
            ("atlas", "distance", "eu-gb", "JP", "-o", "json"),
            ("atlas", "distance", "hall", "eu-central-1", "-f", "fleet.yaml"),
            ("atlas", "distance", "FR", "hall", "-f", "fleet.yaml", "-o", "yaml"),
            ("atlas", "distance", "paris", "hall", "-f", "fleet.yaml"),
        ),
    )


def test_what_is_unknown_or_makes_no_sense(roam: Roam) -> None:
    golden(
        "atlas-refusals",
        transcript(
            roam,
            ("atlas", "region", "eu-centrl-1"),
            ("atlas", "region", "fr-par"),
            ("atlas", "region", "hetzer/fsn1"),
            ("atlas", "jurisdiction", "eu"),
            ("atlas", "jurisdiction", "CH"),
            ("atlas", "country", "Switzerland"),
            ("atlas", "country", "UK"),
            ("atlas", "country", "EU"),
            ("atlas", "cloud", "azur"),
            ("atlas", "distance", "eu-central-1", "us-est-1"),
            ("atlas", "distance", "hal", "DE", "-f", "fleet.yaml"),
            ("atlas", "distance", "hall", "DE"),
            ("atlas", "distance", "hall", "DE", "-f", "none.yaml"),
            ("atlas", "distance", "DE"),
            ("atlas", "distance", "DE", "FR", "-o", "name"),
            ("atlas", "regions", "--cloud", "azur"),
            ("atlas", "regions", "--in", "eu"),
            ("atlas", "regions", "--country", "EU"),
            ("atlas", "region", "eu-central-1", "--cloud", "aws"),
            ("atlas", "clouds", "--in", "EU"),
            ("atlas", "tariffs", "gcp"),
            ("atlas", "tariffs", "-f", "fleet.yaml"),
            ("atlas", "distance", "Japan", "DE"),
            ("atlas",),
        ),
    )


def test_instances(roam: Roam, price_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("federation.cli.clock.now", lambda: 1770000000.0)
    golden(
        "atlas-instances",
        transcript(
            roam,
            ("atlas", "instance", "t3.medium", "n2-standard-4"),
            ("atlas", "instance", "t3.medium", "--region", "eu-west-1"),
            ("atlas", "instance", "t3.medium", "--region", "eu-central-1", "-o", "json"),
            ("atlas", "instance", "t3.large"),
            ("atlas", "instance", "Standard_D2s_v3", "-o", "yaml"),
            ("atlas", "instance", "t3.medum"),
            ("atlas", "instance", "t3.medium", "--region", "europe-west3"),
            ("atlas", "instances", "--cloud", "ovh"),
            ("atlas", "instances", "--cloud", "gcp", "--region", "eu-central-1"),
            ("atlas", "instances", "--region", "nowhere"),
            ("atlas", "instances", "--in", "EU"),
            ("atlas", "regions", "--region", "eu-central-1"),
        ),
    )
    code, out, err = roam("atlas", "instances", "--region", "eu-central-1")
    assert (code, len(out.splitlines())) == (0, 1 + 810)
    assert [line.split()[0] for line in out.splitlines() if "<unknown>   <unknown>" not in line][1:] == [
        "t3.small",
        "t3.medium",
    ]
    assert "as of 2025-12-20: 44 days old, older than 30 days" in err


def test_without_a_price_file_prices_are_unknown(roam: Roam, price_file: Path) -> None:
    price_file.unlink()
    out = roam("atlas", "instance", "t3.medium")[1]
    assert "Prices  unknown: no price file is installed (pip install 'roam-federation[libcloud]')" in out
    assert json.loads(roam("atlas", "instance", "t3.medium", "-o", "json")[1])["prices"] == []


def test_the_price_file_that_is_installed(roam: Roam) -> None:
    """It has most of the types that the atlas knows, in a common region of each cloud."""
    for region, least in (("eu-central-1", 0.7), ("westeurope", 0.9), ("europe-west3", 0.8)):
        found = json.loads(roam("atlas", "instances", "--region", region, "-o", "json")[1])
        assert sum(bool(one["prices"]) for one in found) >= least * len(found), region
        known = [price["usd_per_hour"] for one in found for price in one["prices"]]
        assert all(usd is None or usd > 0 for usd in known)


def test_an_unknown_subject_comes_with_the_known_ones(roam: Roam) -> None:
    code, out, err = roam("atlas", "planets")
    assert (code, out) == (64, "")
    assert err.startswith("roam: error: argument SUBJECT: invalid choice: 'planets' (choose from")


@pytest.mark.parametrize("subject", ["regions", "clouds", "jurisdictions", "countries", "tariffs", "instances"])
def test_each_fact_has_its_source_and_date_and_is_found_by_its_name(roam: Roam, subject: str) -> None:
    documents = json.loads(roam("atlas", subject, "-o", "json")[1])
    assert list(yaml.safe_load_all(roam("atlas", subject, "-o", "yaml")[1])) == documents
    assert all(one["source"] and one["as_of"] for one in documents)
    assert "SOURCE" in roam("atlas", subject, "-o", "wide")[1].splitlines()[0].split()
    names = roam("atlas", subject, "-o", "name")[1].split()
    assert len(names) == len(set(names)) == len(documents)
    if subject != "tariffs":
        found = [json.loads(roam("atlas", *one.split("/", 1), "-o", "json")[1]) for one in names[::15]]
        assert found == documents[::15]


def test_completion(roam: Roam) -> None:
    def words(line: str) -> list[str]:
        code, out, err = roam("__complete", "zsh", line)
        assert (code, err) == (0, "")
        return [one.split("\t")[0] for one in out.splitlines()[1:]]

    assert words("roam atlas dis") == ["distance"]
    assert words("roam atlas region eusc") == ["eusc-de-east-1"]
    assert words("roam atlas region linode/f") == ["linode/fr-par"]
    assert words("roam atlas jurisdiction E") == ["EU", "EEA", "EFTA"]
    assert words("roam atlas jurisdiction EU E") == ["EEA", "EFTA"]
    assert words("roam atlas country DE D") == ["DJ", "DK", "DM", "DO", "DZ"]
    assert words("roam atlas distance fsn1 hel") == ["hel1"]
    assert words("roam atlas distance fsn1 hel1 h") == []
    assert words("roam atlas instance t3.m") == ["t3.micro", "t3.medium"]
    assert words("roam atlas instances --region fsn") == ["fsn1"]
    assert words("roam atlas cloud i") == ["ibm", "ionos"]
    assert words("roam atlas regions --cloud i") == ["ibm"]
    assert words("roam atlas regions --in G") == ["GDPR-adequate", "GCC"]
    assert words("roam atlas regions --country=LI") == ["--country=LI"]
    assert words("roam atlas nothing x") == []


def test_the_atlas_is_read_only_when_it_is_asked() -> None:
    """What `roam --help` and `import federation` load has none of it."""
    code = (
        "import sys, federation.cli.main as main; main.main(['--help']); "
        "sys.exit(', '.join(one for one in sys.modules if 'atlas' in one or one in ('csv', 'numpy')) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
