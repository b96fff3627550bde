"""A believable neighbourhood to try Commonry with, and a journey that shows what it does.

`neighbourhood.json` holds the words, `plan` decides who borrowed what and when, `load` plays that year through the
public API and the services' own rules, `journey` plays one loan against a running platform and tells it step by step.
"""
