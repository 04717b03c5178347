"""A process that grades many notebooks keeps nothing of them. The long run is `python tests/soak.py --count 200`."""

import pytest
from soak import growth, soak


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_process_that_grades_many_notebooks_keeps_nothing_of_them():
    grew = growth(soak(8, seed=1))
    assert {name: grew[name] for name in ("descriptors", "children", "mounts", "temporary")} == {
        "descriptors": 0,
        "children": 0,
        "mounts": 0,
        "temporary": 0,
    }
    assert grew["mib"] < 20
