"""One page about a trained model set: numbers collected, figures drawn, a template filled.

``training`` and ``importance`` read the set itself; ``steps``, ``observing``
and ``observed`` count and sample candidates of independent events; ``coverage``
counts what generated events allow; ``tags`` measures the best Btags. ``numbers``
puts all of it into plain data, ``figures`` draws that, ``page`` fills the
template.
"""
