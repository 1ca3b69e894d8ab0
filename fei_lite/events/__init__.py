"""Events: their schema, batches of columns, files and Belle II mDST."""

from fei_lite.events.batch import EventBatch, Jagged, concatenate

__all__ = ["EventBatch", "Jagged", "concatenate"]
