// A handover signed off where there is no connection: kept in this browser, and sent as soon as there is one.
"use strict";

const form = document.querySelector("form[data-handover]");
const note = form?.querySelector("[data-offline]");
const place = `handover ${form?.action}`;

async function send() {
  const kept = localStorage.getItem(place);
  if (!kept) return;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(kept), redirect: "follow" });
    localStorage.removeItem(place);
    location.assign(answer.ok ? answer.url : form.action);
  } catch {
    note.hidden = false;
  }
}

form?.addEventListener("submit", (event) => {
  if (navigator.onLine) return;
  event.preventDefault();
  localStorage.setItem(place, new URLSearchParams(new FormData(form)).toString());
  note.hidden = false;
});
window.addEventListener("online", send);
if (form && localStorage.getItem(place)) {
  note.hidden = false;
  send();
}
