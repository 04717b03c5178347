"""The reference bands: how accurate honest models are after so many images, and from where a run counts as learning.

`thresholds.toml` is computed from `runs.csv` (`grade calibrate`); nothing in it is typed by hand.
"""

import hashlib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.decode import to_record
from grader.errors import FrameError, UsageError
from grader.records import BandPoint

CHANCE = 0.1
"""Accuracy of guessing among ten balanced classes."""

GUESSING_LOSS = math.log(10)
"""Crossentropy of giving every class the same probability."""

LEAST_GAIN = 0.003
"""How far below `GUESSING_LOSS` the crossentropy on held-back images has to be. No visible defect's run in `runs.csv` that was over a limit in accuracy got
further than 0.001; the least that a run of a model in order had when it passed was 0.005 (`three stages`, seed 1; SGD, seed 1)."""

TRAINED_Z = 4.5
"""Or so many standard errors the training images of the last window are over guessing: with normalisation the held-back loss lags behind."""

FILE = "thresholds.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """The bands of one data set: for each role the points in order of images. `dataset` is its name, `sha256` that of the file."""

    dataset: str
    roles: Mapping[str, tuple[BandPoint, ...]]
    sha256: str
    rates: Mapping[str, str]

    def points(self, role: str) -> tuple[BandPoint, ...]:
        """The role's band; the base model's where the role has none of its own."""
        return self.roles.get(role) or self.roles["base"]

    def at(self, role: str, images: int) -> BandPoint:
        """The point for a run that has seen about `images` images: the nearest one."""
        return nearest(self.points(role), images)


def nearest(band: Iterable[BandPoint], images: int) -> BandPoint:
    """The point of a band for a run that has seen about `images` images."""
    return min(band, key=lambda point: abs(math.log(point.images / max(images, 1))))


def load(folder: Path, dataset: str) -> Bands | None:
    """The bands of `dataset` in a reference folder; None where it was never calibrated. Raises UsageError for a damaged file."""
    path = folder / FILE
    if not path.is_file():
        return None
    data = path.read_bytes()
    try:
        found = tomllib.loads(data.decode("utf-8"))
        part = found.get("dataset", {}).get(dataset)
        if part is None:
            return None
        roles = {role: tuple(to_record(BandPoint, point) for point in points) for role, points in part["band"].items()}
        rates = {str(key): str(value) for key, value in part.get("rates", {}).items()}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, AttributeError, TypeError, FrameError) as error:
        raise UsageError(
            f"{path}: expected the thresholds that `grade calibrate` writes; found something else ({error}). Create it again."
        ) from None
    if not roles.get("base"):
        raise UsageError(
            f"{path}: dataset.{dataset}.band.base: expected at least one point; found none. Create the file again with `grade calibrate`."
        )
    return Bands(dataset=dataset, roles=roles, sha256=hashlib.sha256(data).hexdigest(), rates=rates)


def off_guessing(loss: float | None, trained: float, window: int) -> bool:
    """Whether a model that is over guessing in accuracy is so because it learns, and not by luck.

    Accuracy alone can be luck where images of a class are much alike: an untrained network gives all of a class the same answer, and one or two of
    the ten answers are right by chance. `loss`: crossentropy on held-back images; `trained`: accuracy on the `window` training images since the
    checkpoint before, under the labels that the student gave them.
    """
    if loss is not None and loss <= GUESSING_LOSS - LEAST_GAIN:
        return True
    return window > 0 and trained >= CHANCE + TRAINED_Z * math.sqrt(CHANCE * (1 - CHANCE) / window)


def wilson(hits: float, of: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a proportion (z = 1.96: 95 %). (0, 1) where nothing was counted."""
    if of <= 0:
        return 0.0, 1.0
    share = hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, middle - half), min(1.0, middle + half)
