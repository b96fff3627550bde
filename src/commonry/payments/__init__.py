"""Money of bookings: set aside, taken, given back, paid out; and the ledger that proves it.

Owns: payments (one row per booking and purpose: rental, deposit, late_fee, extension), refunds (one row per reason),
the ledger (entries and their postings), and, when the sandbox is the provider, the sandbox's book, which no other
code here reads.

States of a payment, each written down after the provider has confirmed it:

    authorising → authorised → captured    while `authorised`, the hold may be renewed; once `captured`, money
         │    ╲        │                   may be given back and paid out
         │   declined  │                   a declined payment may be asked for anew, as another charge
         ╰──────┴──────┴──→ voided         a tombstone: also left where nothing was, and final

`authorising` is the one intention, written before the provider is asked, so that a crash in between is known. Every
call to the provider carries a key of ours (`{booking}:{purpose}`, a number behind it for later charges,
`:refund:{reason}` for refunds) and is answered the same again; a step that was not answered is simply asked again.
The provider decides races between capture and void: we write what it says. A void closes the key at the provider
first, even a key it never heard of, and leaves the tombstone then, so a void that overtakes its authorisation leaves
nothing held anywhere (rule 18).

The ledger. An account is a pot; a posting is what the pot gains (+) or loses (−); every entry sums to zero per
currency.

    step                 kind        posts
    authorise A          authorise   limit:{payer} −A                     held:{booking}:{purpose} +A
    capture C of A       capture     held:{booking}:{purpose} −C          limit:{payer} +C
                                     borrower:{payer} −C                  booking:{id} or deposit:{id} +C
      the rest, A − C    release     held:{booking}:{purpose} −(A−C)      limit:{payer} +(A−C)
    void A               release     held:{booking}:{purpose} −A          limit:{payer} +A
    refund R             refund      booking:{id} or deposit:{id} −R      borrower:{payer} +R
      after the payout   refund      owner:{payee} −R                     borrower:{payer} +R
    pay out N, fee F     payout      booking:{id} or deposit:{id} −N      owner:{payee} +(N−F)    platform:fees +F

`limit` and `held` are memo accounts: they balance among themselves, and no money is in them. They are there so that
the ledger alone proves that what was held was released or captured (rule 14). `borrower` and `owner` are members'
pockets as this platform knows them: what their statement shows. There is no account for the provider: what it has is
what the borrowers' pockets lack.

Invariants: each cause is written once (a unique `cause`); entries are never changed (triggers) and balance (a
deferred constraint); refunds ≤ captured ≤ amount (checks); a fee is rounded once per payment, half up (rule 13);
deposits bear no fee; a row says `voided` only when every charge it ever asked for is closed at the provider.

`jobs` looks after payments that are due: authorisations nobody asked about for a quarter of an hour are voided, holds
are renewed before the provider lets them lapse (rule 16), and reserved refunds are finished.
"""
