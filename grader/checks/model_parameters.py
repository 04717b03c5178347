"""*What it checks.* The number of parameters of the base model.

*Why it matters.* It tells at a glance whether a flattened map or too few filters changed the design.

*Inputs.* The rebuilt base model: all parameters, trained or not, without optimizer slots.

*Units.* Parameters.

*Tolerance and source.* Full points within `full`, falling linearly to none at `none` (design, section 5; All-CNN-C has 1,369,848).

*Edge cases.* Comparisons are written so that anything unexpected fails.

*Errors.* None.

*Example.* 375,000 with the defaults: half the points.
"""

from grader.checks import Params
from grader.checks._helpers import failed, of_graph, partial, passed
from grader.records import Finding, Graph
from grader.words import counted

PARAMS: Params = {"full": (500_000, 2_000_000), "none": (250_000, 4_000_000)}


@of_graph(whole=False)
def check(graph: Graph, params: Params) -> Finding:
    """Place the base model's parameter count on the ramp."""
    (low, high), (bottom, top) = params["full"], params["none"]
    count = graph.parameters
    expected, actual = f"{low:,} to {high:,}", f"{count:,}"
    if low <= count <= high:
        return passed(f"The network has {counted(count, 'parameter')}.", expected, actual)
    fraction = (count - bottom) / (low - bottom) if count < low else (top - count) / (top - high)
    size = "few" if count < low else "many"
    if not fraction > 0:
        return failed(f"The network has {counted(count, 'parameter')}: far too {size} for this design.", expected, actual)
    return partial(fraction, f"The network has {counted(count, 'parameter')}: rather too {size}.", expected, actual)
