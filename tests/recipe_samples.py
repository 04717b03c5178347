"""What the tests of the recipe solver share: a store of given images, and asking as box 1 asks."""

from grader.sandbox.inside import recipe


def store_of(train, labels, test, test_labels):
    """A store that holds these images as CIFAR-10."""
    made = recipe.Store()
    made.add("cifar10", "train", train, labels)
    made.add("cifar10", "test", test, test_labels)
    return made


def identify(images, labels, store):
    """As box 1 asks: a few dozen rows, chosen by chance."""
    positions = recipe.chosen(len(images))
    return recipe.identify(images[positions], None if labels is None else labels[positions], positions, len(images), store)
