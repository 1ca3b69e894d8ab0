"""Events: their schema, batches of columns, files and Belle II mDST."""

from fei_lite.events.batch import EventBatch, Jagged, concatenate, offsets_of
from fei_lite.events.files import (
           EventWriter,
           inspect_events,
           iterate_events,
           read_events,
)
from fei_lite.events.reading import count_events, open_events

__all__ = ["EventBatch", "EventWriter", "Jagged", "concatenate", "count_events", "inspect_events",
           "iterate_events", "offsets_of", "open_events", "read_events"]
