"""The attack suite: what a hostile notebook may try, tried for real on this machine (`grade doctor --attack`).

`suite` lists every attack, `boxes` makes those that attack a box of a sandbox tier, `notebooks` those that are whole notebooks. What an attack
says of itself proves nothing: whether it was held is measured outside the box wherever something outside can be measured.
"""
