// What every page has where there is JavaScript. Everything works without it, too.
"use strict";

document.documentElement.classList.add("js");

// A menu closes when somebody clicks elsewhere, or presses Escape.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// What is wrong with a form is read out first.
document.querySelector("[data-focus]")?.focus();

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post" || event.defaultPrevented) return;
  if (event.target.dataset.sent) return event.preventDefault();
  event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// "Near me": the browser knows where, and asks its owner first.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-locate]");
  if (!button) return;
  event.preventDefault();
  const form = button.closest("form"), said = form.querySelector("[data-located]");
  navigator.geolocation.getCurrentPosition(
    ({ coords }) => {
      form.elements.near.value = `${coords.latitude.toFixed(3)},${coords.longitude.toFixed(3)}`;
      if (form.elements.place) form.elements.place.value = "";
      form.requestSubmit();
    },
    () => { if (said) said.textContent = "Your browser did not say where you are."; },
    { timeout: 10000 },
  );
});
for (const button of document.querySelectorAll("[data-locate]")) button.hidden = !("geolocation" in navigator);

// The last day is never before the first.
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (event.target.name !== "from" || !form?.elements.to) return;
  form.elements.to.min = event.target.value;
  if (!form.elements.to.value || form.elements.to.value < event.target.value) form.elements.to.value = event.target.value;
});

// How much waits for whoever is signed in, beside the names of the pages where it is.
const counts = document.querySelectorAll("[data-count]");
if (counts.length) fetch("/waiting").then((got) => (got.ok ? got.json() : {})).then((waiting) => {
  for (const count of counts) {
    const number = waiting[count.dataset.count];
    if (!number) continue;
    const shown = document.createElement("b"), words = document.createElement("span");
    shown.textContent = number > 99 ? "99+" : number;
    words.className = "unseen";
    words.textContent = ` ${count.dataset.words}`;
    count.append(shown, words);
    count.hidden = false;
  }
}).catch(() => {});

// The page of how things are: what the gateway knows of each part.
const parts = document.querySelectorAll("[data-part]");
if (parts.length) fetch("/api/v1/status").then((got) => got.json()).then((told) => {
  const { share_kept, answers } = told.cache;
  if (share_kept !== null) document.querySelector("[data-cache]").textContent =
    `${Math.round(share_kept * 100)} % of what may be kept was answered from memory, which holds ${answers} answers now.`;
  for (const part of parts) {
    const { replicas = [], breaker } = told.services[part.dataset.part] || {};
    const well = replicas.filter((one) => one.status === "ok").length;
    if (replicas.length) part.textContent = `${well} of ${replicas.length} ${replicas.length === 1 ? "process" : "processes"} well, breaker ${breaker}`;
  }
}).catch(() => {});

if ("serviceWorker" in navigator && window.isSecureContext) navigator.serviceWorker.register("/sw.js").catch(() => {});
