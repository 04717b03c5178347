"""SECURITY.md says what the suite holds: every open attack by name, and the right numbers."""

import re

import pytest
from harness import ROOT

from grader_attacks import archives, notebooks, suite

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ATTACKS = [*suite.BOX_ATTACKS, *archives.ATTACKS, *(hostile.attack for hostile in notebooks.NOTEBOOKS)]


@pytest.mark.parametrize("tier", sorted(suite.KNOWN_OPEN.keys() - {"container"}))
def test_each_open_attack_is_named_under_its_tier(tier):
    part = PAGE.partition(f"### Open on the tier `{tier}`")[2].partition("\n##")[0]
    assert set(re.findall(r"^\* `([a-z_.0-9]+)`:", part, re.MULTILINE)) == set(suite.KNOWN_OPEN[tier])


def test_each_open_attack_of_a_container_is_named():
    part = PAGE.partition("### Open on the tier `container`")[2].partition("\n##")[0]
    assert set(re.findall(r"`([a-z]+\.[a-z_0-9]+)`", part)) == suite.KNOWN_OPEN["container"].keys() - suite.KNOWN_OPEN["landlock"].keys()


def test_each_control_is_named_as_open_without_a_sandbox():
    part = PAGE.partition("### Open on the tier `none`")[2].partition("\n##")[0]
    assert set(re.findall(r"`([a-z]+\.[a-z_0-9]+)`", part)) == {attack.id for attack in suite.BOX_ATTACKS if attack.control}


def test_the_numbers_are_the_suites():
    assert f"holds {len(ATTACKS)} attacks: {len(suite.BOX_ATTACKS)} functions" in PAGE
    assert f"{len(archives.ATTACKS)} files that attack whoever opens them, {len(notebooks.NOTEBOOKS)} notebooks" in PAGE
    for family in {attack.family for attack in ATTACKS}:
        assert f"| {family} | {sum(attack.family == family for attack in ATTACKS)} |" in PAGE
    assert f"{sum(attack.control for attack in suite.BOX_ATTACKS)} of them are shown to succeed" in PAGE
