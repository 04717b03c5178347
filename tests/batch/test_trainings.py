"""What a class's trainings cost: equal models once, however many notebooks have them at the same time."""

import json
import shutil

import pytest
from harness import ROOT, store
from test_batch import standings, watching

from grader import dataset, pipeline
from grader.batch import session

REFERENCE = ROOT / "reference" / "all_cnn_c" / "solution.ipynb"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_notebooks_with_one_model_train_it_once_though_they_are_graded_side_by_side(tmp_path):
    dataset.ensure_standin(store())
    notebook = json.loads(REFERENCE.read_text(encoding="utf-8"))
    notebook["cells"] = [cell for cell in notebook["cells"] if "Dropout" not in "".join(cell["source"])][:7]
    folder = tmp_path / "class"
    folder.mkdir()
    for name in ("first", "second", "third"):
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"]) + f"\n# written by {name}" * (cell["cell_type"] == "code")
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    shutil.copy(folder / "first.ipynb", folder / "copy.ipynb")
    options = pipeline.Options(budget="short", store=store(), formats=(), cache=tmp_path / "cache")
    plan = session.Plan(paths=(folder,), gradebook=str(tmp_path / "class.db"), options=options, out=tmp_path / "out", jobs=2)
    heard, watch = watching()
    ended = session.grade_class(plan, watch)
    assert (ended.exit_code, ended.progress.done) == (0, 3), heard
    assert (ended.progress.trained, ended.progress.reused) == (1, 2)
    found = standings(tmp_path / "class.db").values()
    verdicts = {tuple((check.role, check.verdict, check.curve) for check in standing.report.training) for standing in found}
    assert len(verdicts) == 1
    ((role, verdict, curve),) = verdicts.pop()
    assert (role, verdict) == ("base", "learns")
    assert curve
