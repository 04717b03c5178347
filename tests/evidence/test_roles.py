"""Which model plays which role: by structure first, then by section and order; names count for nothing."""

from dataclasses import replace

import pytest
from checks.test_checks import AVERAGE, BODY, DENSE, SCORES, chain, conv

from grader.evidence.roles import match
from grader.records import CellError, CompileClaim, DataClaim, FitClaim, LayerClaim, Model, ModelClaim

DROPOUT = ("Dropout", (10,), {"rate": 0.2})
FLIP = ("RandomFlip", (32, 32, 3), {})
MLP = chain(("Flatten", (3072,), {}), ("Dense", (512,), {"units": 512, "activation": "relu"}), DENSE)
VGG = chain(conv((32, 32, 64)), ("MaxPooling2D", (16, 16, 64), {"pool_size": [2, 2]}), ("Flatten", (16384,), {}), DENSE)
BASE = chain(*BODY, SCORES, AVERAGE, DENSE)
WITH_DROPOUT = chain(*BODY, SCORES, AVERAGE, DROPOUT, DENSE)
OTHER_WITH_DROPOUT = chain(conv((16, 16, 96), stride=2), SCORES, AVERAGE, DROPOUT, DENSE)
AUGMENTED = chain(FLIP, *BODY, SCORES, AVERAGE, DENSE)


def models(*graphs, fitted=True, sections=()):
    made = []
    for serial, graph in enumerate(graphs):
        claim = ModelClaim(
            serial=serial,
            version=0,
            cell=serial,
            kind="Sequential",
            names=("model",),
            layers=(LayerClaim(class_name="Dense", name="d", parameters=1),),
        )
        fits = (FitClaim(index=serial, cell=serial, call="fit", serial=serial, version=0),) if fitted else ()
        section = sections[serial] if sections else 0
        made.append(
            Model(claim=claim, graph=graph, compiled=CompileClaim(serial=serial, cell=serial, optimizer="Adam"), fits=fits, section=section)
        )
    return tuple(made)


def roles(*graphs, **options):
    found = match(models(*graphs, **options))
    return {role: match.model.claim.serial if match.model else None for role, match in found.items()}


def test_the_three_models_in_order():
    assert roles(BASE, WITH_DROPOUT, AUGMENTED) == {"base": 0, "dropout": 1, "augmentation": 2}


def test_order_does_not_matter():
    assert roles(AUGMENTED, WITH_DROPOUT, BASE) == {"base": 2, "dropout": 1, "augmentation": 0}


def test_warm_up_models_are_passed_over():
    assert roles(MLP, VGG, BASE, WITH_DROPOUT) == {"base": 2, "dropout": 3, "augmentation": None}


def test_a_wrong_model_is_still_the_base_where_it_is_the_only_one():
    assert roles(VGG)["base"] == 0


def test_an_augmented_model_with_dropout_is_no_dropout_model_where_there_is_another():
    both = chain(FLIP, *BODY, SCORES, AVERAGE, DROPOUT, DENSE)
    assert roles(BASE, WITH_DROPOUT, both) == {"base": 0, "dropout": 1, "augmentation": 2}


@pytest.mark.parametrize(("section", "role"), [(5, "dropout"), (6, "augmentation")])
def test_a_model_of_a_section_that_could_not_be_rebuilt_may_have_what_the_section_asks_for(section, role):
    assert roles(BASE, None, sections=(2, section))[role] == 1
    assert roles(BASE, None, sections=(2, 3))[role] is None


def test_one_model_for_everything_is_no_second_model():
    both = chain(FLIP, *BODY, SCORES, AVERAGE, DROPOUT, DENSE)
    assert roles(both) == {"base": 0, "dropout": None, "augmentation": 0}


def test_a_model_of_the_dropout_section_counts_there_where_no_other_one_was_built():
    assert roles(WITH_DROPOUT, sections=(5,)) == {"base": 0, "dropout": 0, "augmentation": None}
    assert roles(WITH_DROPOUT, sections=(1,))["dropout"] is None
    assert roles(BASE, sections=(5,))["dropout"] is None
    assert roles(BASE, WITH_DROPOUT, sections=(1, 5)) == {"base": 0, "dropout": 1, "augmentation": None}


def test_sections_decide_between_equals():
    assert roles(WITH_DROPOUT, WITH_DROPOUT, sections=(1, 5)) == {"base": 0, "dropout": 1, "augmentation": None}
    assert roles(WITH_DROPOUT, WITH_DROPOUT, sections=(5, 1))["base"] == 1


def test_a_model_that_cannot_be_rebuilt_plays_the_role_that_its_layers_name():
    base, second, third = models(BASE, None, None)
    second, third = (
        replace(model, claim=replace(model.claim, kind="Subclassed", layers=(LayerClaim(class_name=name, name="l", parameters=0),)))
        for model, name in ((second, "Dropout"), (third, "RandomFlip"))
    )
    found = match((base, second, third))
    assert (found["base"].model, found["dropout"].model, found["augmentation"].model) == (base, second, third)
    assert match((base, third))["dropout"].model is None


def test_every_choice_is_explained():
    found = match(models(BASE, WITH_DROPOUT))
    assert "closest to the required network" in found["base"].reason
    assert "has Dropout" in found["dropout"].reason
    assert "No model with augmentation layers" in found["augmentation"].reason


def test_of_two_augmented_models_the_extreme_one_is_an_experiment():
    def turned(factor):
        return chain(FLIP, ("RandomRotation", (32, 32, 3), {"factor": [-factor, factor]}), *BODY, SCORES, AVERAGE, DENSE)

    assert roles(BASE, WITH_DROPOUT, turned(0.1), turned(0.5), sections=(3, 5, 6, 6))["augmentation"] == 2
    assert roles(BASE, WITH_DROPOUT, turned(0.1), turned(0.2), sections=(3, 5, 6, 6))["augmentation"] == 3
    assert roles(BASE, WITH_DROPOUT, turned(0.5), sections=(3, 5, 6))["augmentation"] == 2


EPOCH = 50_000


def worked(graph, images, *, rows=EPOCH, shown=0, section=0, error=False, serial=0):
    """A model that was trained on so many images of epochs of `rows`; 0: never, None: by a loop that does not tell."""
    (made,) = models(graph, fitted=images != 0, sections=(section,))
    train = None if images is None else DataClaim(container="array", dataset="cifar10", rows=rows, std=0.2)
    wrong = CellError(type="ValueError", message="no") if error else None
    fits = tuple(replace(fit, train=train, error=wrong) for fit in made.fits)
    return replace(made, claim=replace(made.claim, serial=serial), fits=fits, images=images, shown=shown)


@pytest.mark.parametrize(
    ("right", "poor", "right_one_counts"),
    [
        (worked(BASE, 2, rows=2), worked(VGG, 2 * EPOCH, shown=1), False),
        (worked(BASE, 2, rows=2, shown=3), worked(VGG, 2 * EPOCH), False),  # whatever is drawn of it
        (worked(BASE, 30 * 32, rows=32, shown=2), worked(VGG, 30 * EPOCH), False),
        (worked(BASE, 300 * 100, rows=100, shown=2), worked(VGG, 300 * EPOCH), False),  # a hundred images, however often
        (worked(BASE, 20_000, rows=20_000), worked(VGG, 30 * EPOCH, shown=2), False),
        (worked(BASE, 20_000, rows=20_000, shown=2), worked(VGG, 30 * EPOCH, shown=2), True),  # limited, but followed as much
        (worked(BASE, 0), worked(VGG, 2 * EPOCH), False),
        (worked(BASE, 0, section=1), worked(VGG, 2 * EPOCH, section=3), True),  # section 1 asks for the network, not for its training
        (worked(BASE, 0, section=1), worked(VGG, 2 * EPOCH, section=1), False),
        (worked(BASE, 0), worked(VGG, None), False),
        (worked(BASE, 0), worked(VGG, EPOCH, error=True), True),  # no other one was trained, either
        (worked(BASE, 0), worked(None, EPOCH), True),  # a wrapper whose parts are not known may hold it
        (worked(BASE, 2, rows=2), worked(VGG, None), False),
        (worked(BASE, None), worked(VGG, 30 * EPOCH, shown=3), True),  # a loop of its own does not tell
        (worked(BASE, EPOCH), worked(MLP, 100 * EPOCH, shown=3), True),  # a comparison that was trained longer
        (worked(BASE, 2000, rows=1000), worked(VGG, 20_000, rows=1000), True),  # everything is short here
        (worked(BASE, 30 * EPOCH, shown=0), worked(VGG, 30 * EPOCH, shown=3), True),  # two whole attempts: the better one
        (worked(BASE, 30 * EPOCH, error=True), worked(VGG, 30 * EPOCH, shown=3), True),
        (worked(BASE, 0, section=2), worked(WITH_DROPOUT, 30 * EPOCH, shown=3, section=5), True),  # what its variant is made from
        (worked(BASE, 100, rows=100, section=2), worked(WITH_DROPOUT, 30 * EPOCH, shown=3, section=5), True),
        (worked(BASE, 0, section=2), worked(OTHER_WITH_DROPOUT, 30 * EPOCH, shown=3, section=5), False),
    ],
)
def test_a_model_trained_on_next_to_nothing_is_a_decoy_beside_one_that_was_trained(right, poor, right_one_counts):
    found = match((right, replace(poor, claim=replace(poor.claim, serial=1))))
    assert (found["base"].model.claim.serial == 0) is right_one_counts, found["base"].reason


def test_of_several_decoys_none_is_the_base_and_the_reason_names_one():
    found = match((worked(BASE, 2, rows=2), worked(BASE, 0, serial=1), worked(VGG, 2 * EPOCH, serial=2)))
    assert found["base"].model.claim.serial == 2
    assert "trained on 2 images" in found["base"].reason


@pytest.mark.parametrize("role", ["dropout", "augmentation"])
def test_a_decoy_plays_no_later_role_beside_a_model_that_was_trained_for_it(role):
    layer = DROPOUT if role == "dropout" else FLIP
    poor = chain(layer, conv((32, 32, 64)), ("Flatten", (65536,), {}), DENSE)
    right = WITH_DROPOUT if layer is DROPOUT else AUGMENTED
    trained = worked(poor, 30 * EPOCH, serial=1)
    base = worked(BASE, 30 * EPOCH, serial=2)
    assert match((worked(right, 2, rows=2), trained, base))[role].model.claim.serial == 1
    assert match((worked(right, 30 * EPOCH), trained, base))[role].model.claim.serial == 0
    assert match((worked(right, 2, rows=2), base))[role].model.claim.serial == 0  # the notebook has no other


def test_of_equal_models_the_one_whose_training_is_followed_is_the_base():
    assert match((worked(BASE, EPOCH), worked(BASE, EPOCH, shown=2, serial=1)))["base"].model.claim.serial == 1
