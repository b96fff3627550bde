// Days are chosen by drawing over them; the fields beside say the same, and are what is sent.
"use strict";

const month = document.querySelector("[data-draw]");
const days = [...(month?.querySelectorAll("td[data-day]:not(.out):not(.past)") ?? [])];
const fields = document.querySelector("form[data-days]")?.elements;
let first = null;

function draw(from, to) {
  const [early, late] = from <= to ? [from, to] : [to, from];
  fields.from.value = early;
  fields.to.value = late;
  mark();
}

function mark() {
  const early = fields.from.value, late = fields.to.value || early;
  for (const day of days) day.classList.toggle("picked", early !== "" && early <= day.dataset.day && day.dataset.day <= late);
}

if (month && fields) {
  month.addEventListener("pointerdown", (event) => {
    const day = event.target.closest("td[data-day]");
    if (!days.includes(day) || event.button) return;
    event.preventDefault(); // no text is selected by it
    day.releasePointerCapture?.(event.pointerId); // a finger tells what it is over, too
    first = day.dataset.day;
    draw(first, first);
  });
  month.addEventListener("pointermove", (event) => {
    const day = first && document.elementFromPoint(event.clientX, event.clientY)?.closest("td[data-day]");
    if (day && days.includes(day)) draw(first, day.dataset.day);
  });
  window.addEventListener("pointerup", () => { first = null; });
  window.addEventListener("pointercancel", () => { first = null; });
  for (const field of [fields.from, fields.to]) field.addEventListener("input", mark);
  mark();
}
