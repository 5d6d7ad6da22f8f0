"""AdamW, its weight-decay groups, learning-rate schedules and gradient clipping."""
