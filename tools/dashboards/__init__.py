"""Grafana's dashboards as code: a module for each, in the words of `panels`, written as JSON for Grafana to load.

`python -m tools.dashboards` (or `make dashboards`) writes `deploy/grafana/dashboards/` anew; a test fails when what is
there is not what this says.
"""
