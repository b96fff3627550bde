// The card of a thing is seen while it is described.
"use strict";

const card = document.querySelector("[data-card]");
const thing = card && document.querySelector("form[data-thing]");

function tell() {
  const { title, price, per, place, currency } = thing.elements;
  const words = { hour: "an hour", day: "a day", week: "a week" };
  const amount = Number(price.value.replace(",", "."));
  const money = new Intl.NumberFormat("en", { style: "currency", currency: currency.value, trailingZeroDisplay: "stripIfInteger" });
  card.querySelector("[data-title]").textContent = title.value.trim() || "Its name";
  card.querySelector("[data-price]").textContent = amount > 0 ? `${money.format(amount)} ${words[per.value]}` : "Free";
  card.querySelector("[data-place]").textContent = place.value.trim() || "Its place";
}

if (thing) {
  card.hidden = false;
  thing.addEventListener("input", tell);
  tell();
}
