-- What the warehouse may read: amounts and states, no payment method and nothing of the provider's.
CREATE SCHEMA IF NOT EXISTS published;

CREATE OR REPLACE VIEW published.payments AS
SELECT id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, payer, payee, created_at, updated_at
FROM payments;

CREATE OR REPLACE VIEW published.entries AS
SELECT id, booking_id, kind, made_at
FROM entries;

CREATE OR REPLACE VIEW published.postings AS
SELECT entry_id, account, currency, amount
FROM postings;
