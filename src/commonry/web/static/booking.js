// A booking that changes while somebody looks at it: the server says so, and the page fetches its newest self.
"use strict";

const watched = document.querySelector("[data-booking]");
if (watched && "EventSource" in window) {
  const source = new EventSource(watched.dataset.booking);
  source.addEventListener("changed", async () => {
    const answer = await fetch(location.pathname);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#booking");
    if (fresh) document.querySelector("#booking").replaceWith(fresh);
  });
  window.addEventListener("pagehide", () => source.close());
}
