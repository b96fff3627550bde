"""What a service may know of another: messages, problems, events, settings, and a typed client each. No logic.

Messages only ever grow: a new field has a default, unknown fields in answers are ignored, so any service of this
release can talk to the previous release of any other. Bodies that people send are stricter: a field we do not know is
refused.
"""
