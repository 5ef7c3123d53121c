"""The network form: its JSON schema, shapes, costs and faults."""
