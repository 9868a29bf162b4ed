"""A request in, its answer streamed out, one UsageRecord handed on."""
