// What pages do beyond what a browser does by itself. Without it everything still works.
"use strict";

// A code is sent once its last digit is there, typed or pasted.
for (const form of document.querySelectorAll("form[data-send-at]")) {
  const length = Number(form.dataset.sendAt);
  const field = form.querySelector("input.digits");
  let sent = false;
  field.addEventListener("input", () => {
    const digits = field.value.replace(/\s/g, "");
    if (!sent && digits.length === length && /^\d+$/.test(digits)) {
      sent = true;
      form.requestSubmit();
    }
  });
}

// Where something was wrong, whoever listens hears it first.
document.querySelector(".summary")?.focus();
if (!document.querySelector(".summary")) {
  document.querySelector("main.step form[data-send-at] input.digits")?.focus();
}

// The server writes moments in UTC; the zone of whoever reads them is known here only.
const own = new Intl.DateTimeFormat(document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang, {
  dateStyle: "long",
  timeStyle: "short",
});
for (const time of document.querySelectorAll("time[data-tell]")) {
  time.textContent = own.format(new Date(time.dateTime));
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent.trim();
    await navigator.clipboard.writeText(text);
    const said = document.querySelector("[data-copied]");
    said.textContent = said.dataset.copied;
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// New entries are looked for while somebody looks at the page, and for a quarter of an hour at most: each look counts
// as a use of the session, which must end by itself where nobody is.
for (const newer of document.querySelectorAll("[data-newer-than]")) {
  const until = Date.now() + 15 * 60 * 1000;
  const looking = setInterval(async () => {
    if (document.hidden) return;
    if (Date.now() > until) return clearInterval(looking);
    const headers = { "Countersign-Newer-Than": newer.dataset.newerThan };
    const answer = await fetch(location.href, { headers, redirect: "manual" }).catch(() => null);
    if (answer?.status === 200) {
      newer.hidden = false;
      clearInterval(looking);
    }
  }, 5000);
}
