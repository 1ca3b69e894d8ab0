"""From events to the candidates of an analysis, a row each, with what is known of their samples."""
