// The part that changes is sent whole; what had the focus has it afterwards, and what was typed stays.
const main = document.getElementById("main");
const source = new EventSource("/events");
source.onmessage = (message) => {
  const focused = main.contains(document.activeElement) && document.activeElement.id;
  const typed = [...main.querySelectorAll("input")].map((input) => [input.id, input.value]);
  main.innerHTML = message.data;
  for (const [id, value] of typed) {
    const input = document.getElementById(id);
    if (input) input.value = value;
  }
  if (focused) document.getElementById(focused)?.focus({preventScroll: true});
};

// A page that hears nothing shows what was, and must say so. The browser connects again by itself.
const stale = document.getElementById("stale");
source.onerror = () => {
  if (stale.hidden) stale.textContent = `no connection since ${new Date().toTimeString().slice(0, 5)}: this page is out of date`;
  stale.hidden = false;
};
source.onopen = () => { stale.hidden = true; };

// The link's fragment has the token, and no request carries a fragment. From then on this browser keeps it, and the address does not show it.
if (document.body.dataset.actions === "token") {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    localStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  const answer = document.getElementById("answer");
  document.addEventListener("submit", async (event) => {
    event.preventDefault();
    const headers = {"x-hostler-token": localStorage.getItem("token") ?? ""};
    const body = new URLSearchParams(new FormData(event.target));
    const response = await fetch(event.target.action, {method: "POST", headers, body, redirect: "manual"}).catch(() => null);
    const done = response?.ok || response?.type === "opaqueredirect";
    answer.textContent = done ? "" : await response?.text() || "the server does not answer: try again in a minute";
    answer.hidden = done;
  });
}
