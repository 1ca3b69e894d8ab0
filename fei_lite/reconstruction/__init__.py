"""From a batch of events to B candidates: final state, combination, vertex, truth, ranking, classifiers."""
