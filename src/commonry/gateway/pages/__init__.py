"""The gateway's few pages, about the API: plain HTML from templates, one small stylesheet, no script.

Whatever people wrote is escaped by the templates; the policy sent along allows our own stylesheet and nothing else.
The engine is loaded with the first page asked for, not at start.
"""

from commonry.gateway.pages.paper import page_reply, style
from commonry.gateway.pages.reference import Reference

__all__ = ["Reference", "page_reply", "style"]
