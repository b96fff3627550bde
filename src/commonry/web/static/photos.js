// Photos are made smaller before they are sent, and seen at once.
"use strict";

const EDGE = 2000; // pixels: more than any page shows
const PLENTY = 600_000; // bytes: what is smaller is sent as it is

async function smaller(file) {
  if (file.size < PLENTY) return file;
  try {
    const drawn = await createImageBitmap(file, { imageOrientation: "from-image" });
    const share = Math.min(1, EDGE / Math.max(drawn.width, drawn.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(drawn.width * share);
    canvas.height = Math.round(drawn.height * share);
    canvas.getContext("2d").drawImage(drawn, 0, 0, canvas.width, canvas.height);
    const made = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
    return made && made.size < file.size ? new File([made], file.name, { type: made.type }) : file;
  } catch {
    return file; // the server says what is wrong with it
  }
}

function show(input) {
  const list = input.closest("[data-photos]").querySelector("[data-seen]");
  for (const image of list.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  list.replaceChildren(
    ...Array.from(input.files, (file) => {
      const image = new Image();
      image.src = URL.createObjectURL(file);
      image.alt = file.name;
      const row = document.createElement("li");
      row.className = "pic";
      row.append(image);
      return row;
    }),
  );
  const card = document.querySelector("[data-card] .pic");
  if (!card) return;
  card.querySelector("img")?.remove();
  if (!input.files.length) return;
  const first = new Image();
  first.src = URL.createObjectURL(input.files[0]);
  first.alt = "";
  card.append(first);
}

document.addEventListener("change", async (event) => {
  const input = event.target;
  if (!input.matches?.("[data-photos] input[type=file]")) return;
  const button = input.form.querySelector("button:not([type=button])");
  button.disabled = true;
  const sent = new DataTransfer();
  for (const file of input.files) sent.items.add(await smaller(file));
  input.files = sent.files;
  button.disabled = false;
  show(input);
});
