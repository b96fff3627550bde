// A handover signed off where there is no connection: kept in this browser with its photos, and sent as soon as there is one.
"use strict";

const form = document.querySelector("form[data-handover]");
const note = form?.querySelector("[data-offline]");
const place = `handover ${form?.action}`;

const asText = (file) =>
  new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = failed;
    reader.readAsDataURL(file);
  });

function asFile([name, text]) {
  const [head, coded] = text.split(",");
  const bytes = Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
  return new File([bytes], name, { type: head.slice(5, head.indexOf(";")) });
}

async function keep() {
  const said = new FormData(form);
  const fields = [...said].filter(([, value]) => typeof value === "string");
  const photos = await Promise.all(said.getAll("photo").filter((file) => file.size).map(async (file) => [file.name, await asText(file)]));
  try {
    localStorage.setItem(place, JSON.stringify({ fields, photos }));
  } catch {
    localStorage.setItem(place, JSON.stringify({ fields, photos: [] })); // no room: what was written matters more
  }
}

async function send() {
  const kept = localStorage.getItem(place);
  if (!kept) return;
  const { fields, photos } = JSON.parse(kept);
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  for (const photo of photos) body.append("photo", asFile(photo));
  try {
    const answer = await fetch(form.action, { method: "POST", body, redirect: "follow" });
    localStorage.removeItem(place);
    location.assign(answer.ok ? answer.url : form.action);
  } catch {
    note.hidden = false;
  }
}

form?.addEventListener("submit", async (event) => {
  if (navigator.onLine) return;
  event.preventDefault();
  await keep();
  note.hidden = false;
});
window.addEventListener("online", send);
if (form && localStorage.getItem(place)) {
  note.hidden = false;
  send();
}
