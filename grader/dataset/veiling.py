"""Test images in a secret order under labels drawn by lot. Runs in the child process."""

from pathlib import Path

import numpy as np

from grader.errors import InfrastructureError


def veil(folder: Path, target: Path) -> list[int]:
    """Write `x_test.npy` and `y_test.npy` into `target`, made of those in `folder`: shuffled, half of them mirrored. Returns their true labels.

    The order and the false labels come from generators that share nothing: whoever sees the one cannot work out the other.
    """
    images = np.load(folder / "x_test.npy", mmap_mode="r")
    labels = np.load(folder / "y_test.npy").reshape(-1)
    secret, public = np.random.default_rng(), np.random.default_rng()  # seeded by the operating system
    order = secret.permutation(len(labels))
    shuffled = images[order]
    mirrored = secret.random(len(labels)) < 0.5
    shuffled[mirrored] = shuffled[mirrored][:, :, ::-1]
    try:
        np.save(target / "x_test.npy", shuffled, allow_pickle=False)
        np.save(target / "y_test.npy", public.integers(0, 10, (len(labels), 1), dtype=np.uint8), allow_pickle=False)
    except OSError as error:
        raise InfrastructureError(f"{target}: the images for a sandbox cannot be written: {error.strerror}. Make room there.") from None
    return [int(label) for label in labels[order]]
