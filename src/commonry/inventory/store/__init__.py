"""Every SQL statement of inventory: `items` and `search`, `calendar` (a reservation's life), `room` (units and moves
between them), `blackouts`, `events` (what other services tell).
"""
