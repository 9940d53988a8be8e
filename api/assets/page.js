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
    const code = document.getElementById(button.dataset.copy);
    const said = document.querySelector("[data-copied]");
    try {
      await navigator.clipboard.writeText(code.textContent.trim());
      said.textContent = said.dataset.copied;
    } catch {
      // The browser, or whoever set it up, does not allow it: the code is selected, to be copied by hand.
      getSelection().selectAllChildren(code);
      said.textContent = said.dataset.notCopied;
    }
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// New entries are looked for while somebody looks at the page, and no longer than a quarter of an hour after they
// last did anything there: each look counts as a use of the session, which must end by itself where nobody is.
for (const newer of document.querySelectorAll("[data-newer-than]")) {
  let until = 0;
  const goOn = () => (until = Date.now() + 15 * 60 * 1000);
  goOn();
  for (const done of ["pointermove", "keydown", "scroll"]) addEventListener(done, goOn, { passive: true });
  const looking = setInterval(async () => {
    if (document.hidden) return;
    if (Date.now() > until) {
      document.querySelector("[data-stopped-looking]").hidden = false;
      return clearInterval(looking);
    }
    const headers = { "Countersign-Newer-Than": newer.dataset.newerThan };
    const answer = await fetch(location.href, { headers, redirect: "manual" }).catch(() => null);
    if (answer?.status === 200) {
      newer.hidden = false;
      clearInterval(looking);
    }
  }, 5000);
}
