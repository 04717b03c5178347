"""A class at a time: who handed in what, what is still to be graded, who grades it, and what came of it.

`records` says what passes between the parts. `identities` turns names into keyed pseudonyms on the way in; `gradebook` keeps every attempt, report and
override; `worker` grades one submission after another with warm boxes; `supervisor` feeds the workers (of this machine, or of a Ray cluster) and
records what they answer; `tally`, `summary`, `similarity`, `class_page` and `export` tell of it afterwards. `session` is all of it in order: read that first.
"""
