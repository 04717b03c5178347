"""Which stored images reached a call, and by what arithmetic. NumPy only.

`identify` compares a few dozen of the images that reached a call with the stored ones (first at the same positions, then by
correlation, which survives any change of scale and offset), and solves for `value = scale * pixel + offset` per channel or per pixel, or
finds each image standardised by its own mean and deviation. What fits none is `unknown`, with its statistics.
"""

from os import urandom

import numpy as np
from numpy.random import PCG64, Generator, default_rng

SAMPLES = 48
_RESIDUAL = 0.01  # rms of what a map leaves unexplained, as a fraction of the values' standard deviation; float16 rounding gives 0.0005
_SAME = 0.98  # correlation of an image's features with those of the same image
_TWINS = 0.003  # of a correlation: closer ones do not tell an image from its twin in the other split
_ALIKE = 0.4  # of the values' range, between batches that are standardised one by one: four batches of 8 images of CIFAR-10 differ by at most 0.32 in 150 draws
_HUGE = 1e30  # values beyond would make the sums below infinite


def chosen(total, wanted=SAMPLES):
    """`wanted` of `total` rows, in order, that no notebook can know: by the system's randomness. NumPy's own generator stays as it is."""
    return np.sort(Generator(PCG64(int.from_bytes(urandom(16)))).choice(total, min(wanted, total), replace=False))


class Store:
    """The data sets that were loaded: (name, split) -> images (N, H, W[, C]) uint8, labels (N,)."""

    def __init__(self):
        self.sets = {}
        self._features = {}

    def add(self, name, split, images, labels):
        self.sets[name, split] = (images, np.asarray(labels).reshape(-1))

    def features(self, key):
        """Unit-length feature rows (N, 3 x 40) of every image: the same 40 places in every channel, each channel centred."""
        if key not in self._features:
            self._features[key] = _features(self.sets[key][0])
        return self._features[key]


def _places(height, width):
    generator = default_rng(7)
    return generator.integers(0, height, 40), generator.integers(0, width, 40)


def _features(images):
    rows, columns = _places(images.shape[1], images.shape[2])
    picked = np.asarray(images[:, rows, columns], dtype=np.float32)
    if picked.ndim == 2:
        picked = picked[..., None]
    picked = picked - picked.mean(axis=1, keepdims=True)
    flat = picked.transpose(0, 2, 1).reshape(len(picked), -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def _correlation(a, b):
    """Correlation of each pair of images, channel by channel, averaged. Shapes (m, H, W, C); result (m,)."""
    a = a.reshape(len(a), -1, a.shape[-1]).astype(np.float64)
    b = b.reshape(len(b), -1, b.shape[-1]).astype(np.float64)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    norm = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.where(norm > 1e-9, (a * b).sum(axis=1) / np.maximum(norm, 1e-9), 0.0).mean(axis=1)


def layouts(images):
    """The ways in which `images` (m, …) may be an image batch: (array (m, H, W, C), what was done to it)."""
    if images.ndim == 4 and images.shape[-1] in (1, 3):
        yield images, {}
    elif images.ndim == 4 and images.shape[1] in (1, 3):
        yield images.transpose(0, 2, 3, 1), {"channels_first": True}
    elif images.ndim == 3 and images.shape[1] == images.shape[2]:
        yield images[..., None], {}
    elif images.ndim == 2 and images.shape[1] == 3072:
        yield images.reshape(-1, 32, 32, 3), {"flattened": True}
        yield images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), {"flattened": True, "channels_first": True}
    elif images.ndim == 2 and images.shape[1] == 784:
        yield images.reshape(-1, 28, 28, 1), {"flattened": True}


def _match(images, positions, total, store):
    """The data set, split and stored rows of `images` (m, H, W, C), where four in five are found; else the share that is. Rows may come from both splits (`mixed`)."""
    most = 0.0
    for as_given in (lambda stored: (stored,), _along_lines):
        for (name, split), (stored, _) in store.sets.items():
            reference = stored if stored.ndim == 4 else stored[..., None]
            if reference.shape[1:] == images.shape[1:] and total <= len(reference):
                for there in as_given(np.asarray(reference[positions])):
                    alike = _correlation(images, there)
                    if np.median(alike) > 0.98 and not (alike < 0.5).any():  # a stranger: others were mixed in
                        return name, split, [(name, split, int(row)) for row in positions]
    for name in {name for name, _ in store.sets}:
        splits = [
            split for (other, split), (stored, _) in store.sets.items() if other == name and (*stored.shape[1:], 1)[:3] == images.shape[1:]
        ]
        if not splits:
            continue
        scores = [_features(images) @ store.features((name, split)).T for split in splits]
        values = np.stack([score.max(axis=1) for score in scores])
        rows, best, alike = np.stack([score.argmax(axis=1) for score in scores]), values.argmax(axis=0), values.max(axis=0) > 0.97
        most = max(most, float(alike.mean()))
        if most >= 0.8:
            found = [(name, splits[at], int(rows[at, index])) if alike[index] else None for index, at in enumerate(best)]
            tell = alike & ((values > values.max(axis=0) - _TWINS).sum(axis=0) == 1)  # CIFAR-10 has twins across its splits
            own = {splits[at] for at in best[tell if tell.any() else alike]}
            return name, own.pop() if len(own) == 1 else "mixed", found
    return most


def _along_lines(stored):
    """Stored images (m, H, W, C) with each line along an axis of length one (`keras.utils.normalize`): one such batch an axis."""
    values = stored.astype(np.float64)
    for axis in (1, 2, 3):
        yield values / np.maximum(np.linalg.norm(values, axis=axis, keepdims=True), 1e-9)


def _affine(x, y):
    """Least squares y = scale * x + offset along the first axis. Returns scale, offset (trailing shape) and squared residuals' mean."""
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    variance = ((x - mean_x) ** 2).mean(axis=0)
    scale = np.where(variance > 1e-9, ((x - mean_x) * (y - mean_y)).mean(axis=0) / np.maximum(variance, 1e-9), 0.0)
    offset = mean_y - scale * mean_x
    return scale, offset, ((y - scale * x - offset) ** 2).mean(axis=0)


def solve(pixels, values):
    """The recipe that makes `values` (m, H, W, C) of stored `pixels` (same shape): a dict of the record's fields."""
    x, y = pixels.astype(np.float64), values.astype(np.float64)
    channels = x.shape[-1]
    spread = np.maximum(y.reshape(-1, channels).std(axis=0), 1e-9)  # of each channel: a wide one must not hide what is wrong with another

    def worst(residual):
        return float((np.sqrt(residual) / spread).max())

    scale, offset, residual = _affine(x.reshape(-1, channels), y.reshape(-1, channels))
    rms = worst(residual)
    if rms < _RESIDUAL:
        same = np.ptp(scale) <= 1e-4 * abs(scale).max() and np.ptp(offset) <= 1e-3 * spread.min()
        if same and abs(scale.mean() - 1) < 1e-4 and abs(offset.mean()) < 1e-2:
            return {"kind": "identity", "scale": [1.0], "offset": [0.0], "residual": rms}
        if same:
            scale, offset = scale.mean(keepdims=True), offset.mean(keepdims=True)
        return {"kind": "affine", "scale": scale.tolist(), "offset": offset.tolist(), "residual": rms}
    if len(x) >= 12:
        scale, offset, residual = _affine(x, y)
        per_pixel = worst(residual.mean(axis=(0, 1)) * len(x) / (len(x) - 2))
        if per_pixel < _RESIDUAL:
            return {
                "kind": "per_pixel",
                "scale": scale.mean(axis=(0, 1)).tolist(),
                "offset": offset.mean(axis=(0, 1)).tolist(),
                "residual": per_pixel,
            }
    mean, deviation = x.mean(axis=(1, 2, 3), keepdims=True), np.maximum(x.std(axis=(1, 2, 3), keepdims=True), 1e-9)
    per_image = worst(((y - (x - mean) / deviation) ** 2).mean(axis=(0, 1, 2)))
    if per_image < _RESIDUAL:  # no other map of each image by itself: box 2 repeats this one
        return {"kind": "per_image", "residual": per_image}
    return {"kind": "unknown", "residual": rms}


def _resize_candidates(images):
    """`images` brought to 32x32 where they were made larger by a whole factor: (array, (H, W))."""
    height, width = images.shape[1:3]
    if (height, width) != (32, 32) and height % 32 == 0 and width % 32 == 0:
        step = height // 32
        yield images.reshape(len(images), 32, step, 32, width // 32, -1).mean(axis=(2, 4)), (height, width)
    elif height > 32 and width > 32:
        rows, columns = np.arange(32) * height // 32 + height // 64, np.arange(32) * width // 32 + width // 64
        yield images[:, np.minimum(rows, height - 1)][:, :, np.minimum(columns, width - 1)], (height, width)


def rows_of(images, first, store, key):
    """The rows of the stored set `key` that `images` (m, …) were made of, -1 where none is alike; None where too few are.

    They stand at `first`, `first + 1`, … of what a call was given: images in the order in which they are stored are looked for there only.
    """
    stored = store.sets[key][0]
    images = np.asarray(images)
    if images.dtype.kind not in "fiub" or not images.size:
        return None
    images = np.clip(np.nan_to_num(images.astype(np.float64), posinf=0.0, neginf=0.0), -_HUGE, _HUGE)
    for batch, _ in layouts(images):
        for candidate, _ in [(batch, None), *_resize_candidates(batch)]:
            grey = candidate.shape[-1] == 1 and stored.shape[-1] == 3
            if candidate.shape[1:3] != stored.shape[1:3] or not (grey or candidate.shape[-1] == stored.shape[-1]):
                continue
            if first + len(candidate) <= len(stored):
                there = np.asarray(stored[first : first + len(candidate)], np.float64)
                there = there.mean(axis=-1, keepdims=True) if grey else there
                if np.median(_correlation(candidate, there)) > (0.95 if grey else 0.98):
                    return np.arange(first, first + len(candidate))
            if not grey:
                scores = _features(candidate) @ store.features(key).T
                second, best = np.partition(scores, -2, axis=1)[:, -2:].T if scores.shape[1] > 1 else (0.0, scores[:, 0])
                alike = (best > 0.97) | ((best > 0.8) & (best - second > 0.05))  # CIFAR-10 as roots or squares: over 99 %, none wrong
                rows = np.where(alike, scores.argmax(axis=1), -1)
                if (rows >= 0).mean() >= 0.8:
                    return rows
    return None


def identify(images, labels, positions, total, store, parts=()):
    """What is known about sampled `images` (m, …): rows `positions` of `total`, from batches with so many of them each (`parts`). `labels`: theirs, of all `total`, or None.

    Returns fields of a DataClaim: dataset, split, recipe, labels. An exception is a defect of ours: whatever images are given, none is due.
    """
    whole = labels if labels is not None and not parts and len(labels) == total else None
    labels = whole[positions] if whole is not None else labels
    result = {"dataset": None, "split": None, "recipe": None, "labels": _labels(labels, None)}
    images = np.asarray(images)
    if images.dtype.kind not in "fiub" or len(images) < 2 or not images.size:
        return result
    images = np.clip(np.nan_to_num(images.astype(np.float64), posinf=0.0, neginf=0.0), -_HUGE, _HUGE)
    for batch, done in layouts(images):
        tries = [(batch, None), *_resize_candidates(batch)]
        for candidate, resized in tries:
            found = _match(candidate, positions, total, store)
            if isinstance(found, float):
                result["matched"] = max(found, result.get("matched", 0.0))
                continue
            name, split, rows = found
            picked = np.array([index for index, row in enumerate(rows) if row])
            pixels = np.stack([_as_image(store.sets[a, b][0][row]) for a, b, row in filter(None, rows)])
            recipe = solve(pixels, candidate[picked])
            if recipe["kind"] == "unknown" and len(parts) > 1:
                recipe = _of_batches(pixels, candidate[picked], np.repeat(np.arange(len(parts)), parts)[picked]) or recipe
            if resized and recipe["kind"] == "unknown" and recipe["residual"] < 0.35:
                recipe = _loose(pixels, candidate[picked], recipe["residual"])
            result.pop("matched", None)
            result.update(dataset=name, split=split, recipe={**recipe, **done, "resized": list(resized) if resized else None})
            if whole is not None and rows == [(name, split, int(row)) for row in positions]:  # in the stored order, all of it
                result["labels"] = _labels(whole, store.sets[name, split][1][:total])
            elif labels is not None:
                stored = np.array([store.sets[a, b][1][row] for a, b, row in filter(None, rows)])
                result["labels"] = _labels(labels, stored, picked)
            return result
        if batch.shape[-1] == 1:
            grey = _grayscale(batch, positions, total, store)
            if grey:
                result.update(grey)
                return result
    return result


def shared(sample, images):
    """The share of `sample` images (m, …) that are rows of `images` (N, …), mirrored or not, on any scale and with any offset of a channel; None where the two cannot be compared.

    Of CIFAR-10's 10,000 test images 0.2 % have such a twin among the training images, of 2,000 training images 0.3 % among the 48,000 others.
    """
    for (some, done), (rows, same) in zip(layouts(sample), layouts(images), strict=False):
        if done == same and some.shape[1:] == rows.shape[1:] and {some.dtype.kind, rows.dtype.kind} <= set("fiu"):
            with np.errstate(all="ignore"):
                alike = np.abs(_features(np.concatenate([some, some[:, :, ::-1]])) @ _features(rows).T).max(axis=1)  # negatives, too
                return float(np.mean(alike.reshape(2, -1).max(axis=0) > _SAME))
    return None


def _of_batches(pixels, values, owners):
    """The first batch's recipe where every batch has its own and all are nearly the same: images standardised batch by batch. Else None."""
    solved = [solve(pixels[owners == owner], values[owners == owner]) for owner in np.unique(owners)]
    if len({(each["kind"], len(each.get("scale", ()))) for each in solved}) != 1 or solved[0]["kind"] not in ("identity", "affine"):
        return None
    ends = np.array([[np.array(each["scale"]) * pixel + np.array(each["offset"]) for pixel in (0, 255)] for each in solved])
    return solved[0] if np.ptp(ends, axis=0).max() <= _ALIKE * np.ptp(ends) else None


def _as_image(row):
    return np.asarray(row) if row.ndim == 3 else np.asarray(row)[..., None]


def _loose(pixels, values, residual):
    """An estimate for images that were interpolated: the usual map that is nearest, whichever images were looked at; else what fits them best."""
    scale, offset, _ = (part.item() for part in _affine(pixels.reshape(-1, 1).astype(np.float64), values.reshape(-1, 1)))
    for usual, start in ((1.0, 0.0), (1 / 255, 0.0), (2 / 255, -1.0)):
        if abs(scale / usual - 1) < 0.15 and abs(offset - start) < 0.15 * 255 * usual:
            scale, offset = usual, start
    return {"kind": "affine", "scale": [scale], "offset": [offset], "residual": residual}


def _grayscale(batch, positions, total, store):
    for (name, split), (stored, _) in store.sets.items():
        if stored.ndim == 4 and stored.shape[1:3] == batch.shape[1:3] and total <= len(stored):
            there = np.asarray(stored[positions]).astype(np.float64).mean(axis=-1, keepdims=True)
            if np.median(_correlation(batch, there)) > 0.95:
                return {"dataset": name, "split": split, "recipe": {"kind": "unknown", "grayscale": True, "residual": 1.0}}
    return None


def _labels(labels, stored, picked=slice(None)):
    """A LabelClaim body, or None. `agreement` compares with the stored labels of the same images."""
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.dtype.kind not in "fiub":
        return {"encoding": "other", "shape": list(labels.shape[1:])}
    if labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1):
        encoding, values = "integer", labels.reshape(-1)
        if labels.dtype.kind == "f" and not np.all(values == np.round(values)):
            encoding = "other"
    elif labels.ndim == 2 and np.allclose(labels.sum(axis=1), 1, atol=1e-3) and np.allclose(labels.max(axis=1), 1, atol=0.2):
        encoding, values = "one_hot", labels.argmax(axis=1)
    else:
        return {"encoding": "other", "shape": list(labels.shape[1:])}
    agreement = None if stored is None else float(np.mean(values[picked].astype(np.int64) == stored.astype(np.int64)))
    return {"encoding": encoding, "shape": list(labels.shape[1:]), "agreement": agreement}
