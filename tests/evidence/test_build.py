"""Which model objects, as they were when, are worth rebuilding, and which calls belong to each."""

from grader import evidence
from grader.records import CompileClaim, FitClaim, LayerClaim, ModelClaim, Notebook, RunRecord

PLAIN = ("Conv2D", "GlobalAveragePooling2D", "Dense")
DROPPED = ("Conv2D", "GlobalAveragePooling2D", "Dropout", "Dense")


def claim(serial, version, classes, cell=1):
    layers = tuple(LayerClaim(class_name=name, name=f"{name}_{version}") for name in classes)
    return ModelClaim(serial=serial, version=version, cell=cell, kind="Sequential", layers=layers)


def fit(index, serial, version, cell):
    return FitClaim(index=index, cell=cell, call="fit", serial=serial, version=version)


def compiled(serial, cell, optimizer):
    return CompileClaim(serial=serial, cell=cell, optimizer=optimizer)


def built(record):
    made = evidence.build(Notebook(cells=()), record, {}, attempted=True)
    return [(each.claim.version, [call.index for call in each.fits], each.compiled and each.compiled.optimizer) for each in made.models]


def test_an_object_that_was_trained_changed_and_trained_again_is_two_models():
    record = RunRecord(
        models=(claim(0, 0, PLAIN), claim(0, 1, PLAIN[:-1]), claim(0, 2, DROPPED, cell=4)),
        compiles=(compiled(0, 2, "Adam"), compiled(0, 4, "SGD")),
        fits=(fit(0, 0, 0, 2), fit(1, 0, 0, 3), fit(2, 0, 2, 4)),
    )
    assert built(record) == [(0, [0, 1], "Adam"), (2, [2], "SGD")]


def test_other_settings_of_the_same_layers_are_one_model_as_it_was_trained_last():
    record = RunRecord(
        models=(claim(0, 0, PLAIN), claim(0, 1, PLAIN), claim(0, 2, DROPPED)),
        compiles=(compiled(0, 2, "Adam"), compiled(0, 9, "SGD")),
        fits=(fit(0, 0, 0, 2), fit(1, 0, 1, 3)),
    )
    assert built(record) == [(1, [0, 1], "SGD")]


def test_a_model_that_was_never_trained_is_as_it_was_seen_last():
    record = RunRecord(models=(claim(0, 0, PLAIN), claim(1, 0, ("InputLayer",)), claim(0, 1, DROPPED)))
    assert built(record) == [(1, [], None)]


def test_a_call_whose_model_was_lost_counts_for_the_object():
    record = RunRecord(models=(claim(0, 0, PLAIN),), fits=(fit(0, 0, 5, 2), fit(1, 7, 0, 2)))
    assert built(record) == [(0, [0], None)]
