"""The website: pages for people, made on the server from what the other services answer to anyone.

It owns nothing lasting. A visitor's session is the token that `users` gave, kept in a cookie; every page asks the other
services as that visitor, through their public API, so nobody sees or does more here than there. Pages work without
JavaScript; htmx exchanges parts of them where there is.

`api` has the pages' addresses, by what people do; `rules` what is decided without asking anyone: words, dates, months,
maps; `templates` and `static` what is sent. `Visit` is whoever asks, `forms` what they filled in, `paper` what pages
are made with.
"""
