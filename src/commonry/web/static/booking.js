// A booking that changes while somebody looks at it: the server says so, and the page fetches its newest self.
"use strict";

const watched = document.querySelector("[data-booking]");
if (watched && "EventSource" in window) {
  const source = new EventSource(watched.dataset.booking);
  source.addEventListener("changed", async () => {
    const answer = await fetch(location.pathname);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#booking");
    if (!fresh) return;
    const old = document.querySelector("#booking"), typed = old.querySelector("textarea");
    const again = fresh.querySelector("textarea");
    if (typed && again) again.value = typed.value; // what somebody is just writing stays
    const here = document.activeElement === typed && typed ? [typed.selectionStart, typed.selectionEnd] : null;
    old.replaceWith(fresh);
    if (here && again) {
      again.focus();
      again.setSelectionRange(...here);
    }
  });
  window.addEventListener("pagehide", () => source.close());
}
