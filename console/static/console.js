// Everything here is a comfort: each page reads and works without it.
"use strict";

// Times: absolute ones in the reader's zone, ages kept current; UTC on hover.
const UNITS = [[86400000, "d"], [3600000, "h"], [60000, "min"], [1000, "s"]];

function ageText(ms, now) {
  const distance = Math.abs(now - ms);
  for (const [size, unit] of UNITS) {
    if (distance >= size) {
      const count = `${Math.floor(distance / size)} ${unit}`;
      return ms <= now ? `${count} ago` : `in ${count}`;
    }
  }
  return "now";
}

// The clock of this machine may differ from the console's, whose times the page shows.
let skew = 0;

function showTimes() {
  for (const element of document.querySelectorAll("time[datetime]")) {
    const ms = Date.parse(element.dateTime);
    if (Number.isNaN(ms)) continue;
    const local = new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    const utc = `${element.dateTime.slice(0, 19).replace("T", " ")} UTC`;
    const text = element.classList.contains("ago") ? ageText(ms, Date.now() + skew) : local;
    const title = element.classList.contains("ago") ? `${local} (${utc})` : utc;
    if (element.textContent !== text) element.textContent = text;
    if (element.title !== title) element.title = title;
  }
}

// The age of the page: a live part that is not renewed says so.
let rendered = "";
let renewedAt = Date.now();

function watchRenewal() {
  const live = document.getElementById("live");
  const stale = document.getElementById("stale");
  if (!live || !stale) return;
  if (live.dataset.rendered !== rendered) {
    rendered = live.dataset.rendered;
    renewedAt = Date.now();
    skew = Date.parse(rendered) - renewedAt;
    if (Math.abs(skew) < 2000) skew = 0;
  }
  const seconds = Math.round((Date.now() - renewedAt) / 1000);
  const text = `The console has not answered for ${seconds} seconds. This page shows the state before that.`;
  const late = seconds > 20 && !document.hidden;
  stale.hidden = !late;
  if (late && stale.textContent !== text) stale.textContent = text;
}

// A form is sent once; its button says what is being done.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  const button = event.submitter ?? form.querySelector("button");
  if (!button) return;
  button.setAttribute("aria-disabled", "true");
  if (button.dataset.busy) button.textContent = button.dataset.busy;
});

// Back from another page: forms can be sent again.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// A filter applies at once.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-apply]");
  if (form && event.target.matches("select")) form.requestSubmit();
});

function start() {
  watchRenewal(); // first: the ages need the skew of the clocks
  showTimes();
  new MutationObserver(() => {
    watchRenewal();
    showTimes();
  }).observe(document.getElementById("main"), { childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ["data-rendered"] });
  setInterval(() => {
    watchRenewal();
    showTimes();
  }, 1000);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
