"""The users service: who is a member, how they prove it, and how long they stay signed in.

It owns members, their passwords, roles and sessions, and the memory of failed logins. Others know a member by id;
they learn who is calling from `POST /auth/validate-token` and what became of a member from events.

States of a member: `active ⇄ suspended → erased` (also `active → erased`). A suspended member keeps everything but
cannot sign in. An erased one is a row without a person: name "Former member", no e-mail address, no password, so that
what they did still has somebody to point at.

Invariants, each held by a constraint or a lock, never by a look beforehand:
* one member per e-mail address, whatever its case (`one_member_per_email`);
* an erased member has no address and no password (`the_erased_are_anonymous`), everyone else has both;
* there is always an active manager: whoever takes the role away locks all managers first;
* a session is opened under a lock on its member, so none survives a suspension or a change of password that raced
  with it;
* a session is put into the cache under a lock on its row, so one that has ended is never put back.

Sessions live twice: in the cache, where validating a token touches no database, and in a table, so that neither a
restart nor a flushed cache signs anybody out. The token itself is kept nowhere, only its SHA-256.
"""
