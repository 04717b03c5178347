"""*What it checks.* The loss is a crossentropy that fits the labels' encoding and the network's last activation.

*Why it matters.* With a loss that does not fit, `fit` stops with an error or, worse, trains towards nonsense.

*Inputs.* The base model's compile configuration; the encoding of the labels that reached training; the head's activation.

*Units.* None.

*Tolerance and source.* Exact. Softmax together with `from_logits=True` (softmax applied twice): half the points.

*Edge cases.* A loss of the student's own, or of a training loop or `train_step` of the student's own, cannot be judged here: `error`, manual review; so it is with labels that a defect of ours kept from being
examined, and a model that could not be rebuilt, whose last activation is not known. Labels of unknown encoding: judged by the head alone.

*Errors.* None.

*Example.* Integer labels with `categorical_crossentropy`: fail.
"""

from grader import graph as graphs
from grader.checks import Params
from grader.checks._data import base_fit, lost
from grader.checks._helpers import absent, failed, graph_or_finding, model_of, partial, passed, undecided, why_missing
from grader.records import Evidence, Finding

PARAMS: Params = {}
_FITS = {"integer": "sparse_categorical_crossentropy", "one_hot": "categorical_crossentropy"}
_WORDS = {"integer": "integer labels", "one_hot": "one-hot labels", "other": "labels of unknown encoding"}


def check(evidence: Evidence, params: Params) -> Finding:
    """Hold loss, labels and head against each other."""
    model = model_of(evidence)
    if model is None:
        return absent(evidence, "compile", why_missing(evidence))
    compiled = model.compiled
    if compiled is None:
        if any(fit.call == "custom_loop" for fit in model.fits):
            return undecided("The network is trained by the notebook's own loop, which computes its own loss; manual review is needed.")
        hint = 'Call model.compile(optimizer=…, loss=…, metrics=["accuracy"]) before fit.'
        return absent(evidence, "compile", "The network is never compiled.", hint=hint)
    if compiled.loss is None:
        if compiled.custom_loss:
            message = f"The loss {compiled.custom_loss!r} is the notebook's own; manual review is needed."
            return undecided(message, actual=compiled.custom_loss)
        return failed("compile is called without a loss.", "a crossentropy loss", "none")
    if (unknown := lost(evidence)) is not None:
        return unknown
    fit = base_fit(evidence)
    if fit and fit.own_steps:
        own = ", ".join(fit.own_steps[:4])
        return undecided(f"The network is trained by its own {own}, which may compute another loss; manual review is needed.")
    labels = fit.train.labels if fit and fit.train and fit.train.labels else fit.validation.labels if fit and fit.validation else None
    encoding = labels.encoding if labels else "other"
    loss = compiled.loss.replace("focal_", "")
    if encoding == "one_hot" and loss == "kl_divergence":
        loss = _FITS[encoding]  # the entropy of one-hot labels is zero
    actual = f"{compiled.loss}{' (from_logits=True)' if compiled.from_logits else ''} with {_WORDS[encoding]}"
    expected = f"{_FITS[encoding]} for {_WORDS[encoding]}" if encoding in _FITS else "a categorical crossentropy"
    if loss not in _FITS.values():
        return failed(f"The loss {compiled.loss} does not fit a choice among ten classes.", expected, actual)
    if encoding in _FITS and loss != _FITS[encoding]:
        hint = f"Use {_FITS[encoding]}, or change the labels' encoding."
        return failed(f"The loss {compiled.loss} does not fit {_WORDS[encoding]}.", expected, actual, hint=hint)
    graph = graph_or_finding(evidence)
    if isinstance(graph, Finding):  # what the network ends in is not known, so neither is whether the loss fits it
        return graph
    activation, logits = graphs.head(graph).activation, compiled.from_logits
    if activation == "softmax" and logits:
        message = "The network ends in softmax and the loss applies softmax once more (from_logits=True)."
        return partial(0.5, message, expected, actual, hint="Leave out one of the two.")
    if activation == "linear" and not logits:
        message = "The network ends in raw scores, but the loss expects probabilities."
        hint = "Add softmax to the last layer, or set from_logits=True in the loss."
        return failed(message, expected, actual, hint=hint)
    if activation not in ("softmax", "linear"):
        return partial(0.5, f"The loss expects probabilities that add up to one; the network ends in {activation}.", expected, actual)
    return passed(f"The loss {compiled.loss} fits {_WORDS[encoding]} and the network's output.", expected, actual)
